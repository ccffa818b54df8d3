/* ISA-L on one core: isal K M MILLISECONDS prints encode GB/s, rebuild GB/s and a hash of the parity.
   The library is opened at run time, so its headers are not needed. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FRAGMENT = 4 << 20, STRIP = 64 << 10, STRIPS_MAX = 32 };

typedef void (*gen_matrix)(unsigned char *, int, int);
typedef void (*init_tables)(int, int, unsigned char *, unsigned char *);
typedef void (*encode_data)(int, int, int, unsigned char *, unsigned char **, unsigned char **);

static encode_data encode;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void pass(int k, int rows, unsigned char *tables, unsigned char **data, unsigned char **out) {
    unsigned char *from[STRIPS_MAX], *to[STRIPS_MAX];
    for (int at = 0; at < FRAGMENT; at += STRIP) {
        for (int i = 0; i < k; i++) from[i] = data[i] + at;
        for (int i = 0; i < rows; i++) to[i] = out[i] + at;
        encode(STRIP, k, rows, tables, from, to);
    }
}

static double speed(int k, int rows, unsigned char *tables, unsigned char **data, unsigned char **out, double seconds) {
    pass(k, rows, tables, data, out);
    double begin = now(), end = begin;
    long rounds = 0;
    for (; end - begin < seconds; end = now(), rounds++) pass(k, rows, tables, data, out);
    return (double)rounds * k * FRAGMENT / (end - begin) / 1e9;
}

int main(int count, char **words) {
    if (count != 4) return 2;
    int k = atoi(words[1]), m = atoi(words[2]);
    double seconds = atof(words[3]) / 1e3;
    void *library = dlopen("libisal.so.2", RTLD_NOW);
    if (!library) library = dlopen("libisal.so", RTLD_NOW);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
    gen_matrix matrix = (gen_matrix)dlsym(library, "gf_gen_cauchy1_matrix");
    init_tables init = (init_tables)dlsym(library, "ec_init_tables");
    encode = (encode_data)dlsym(library, "ec_encode_data");
    if (!matrix || !init || !encode) return fprintf(stderr, "libisal lacks a function\n"), 1;

    unsigned char *data[STRIPS_MAX], *parity[STRIPS_MAX];
    static unsigned char rows[STRIPS_MAX * STRIPS_MAX], tables[32 * STRIPS_MAX * STRIPS_MAX];
    for (int i = 0; i < k; i++) {
        data[i] = aligned_alloc(64, FRAGMENT);
        for (long at = 0; at < FRAGMENT; at++) data[i][at] = (unsigned char)(at * 31 + i);
    }
    for (int i = 0; i < m; i++) parity[i] = aligned_alloc(64, FRAGMENT);
    matrix(rows, k + m, k);
    init(k, m, rows + k * k, tables);
    double encoded = speed(k, m, tables, data, parity, seconds);
    uint64_t hash = 0xcbf29ce484222325;
    for (int i = 0; i < m; i++)
        for (long at = 0; at < FRAGMENT; at++) hash = (hash ^ parity[i][at]) * 0x100000001b3;
    /* One lost strip is one row over k others: which row makes no difference to the time. */
    init(k, 1, rows + k * k, tables);
    double rebuilt = speed(k, 1, tables, data, parity, seconds);
    printf("%f %f %016llx\n", encoded, rebuilt, (unsigned long long)hash);
    return 0;
}
