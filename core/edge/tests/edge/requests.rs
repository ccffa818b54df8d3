//! What an Edge answers its guests, and what it asks the volume driver for them.

use crate::transcript::{check, config};

#[test]
fn guests_are_served_in_one_session() {
    check(
        config(),
        "
        > 9.1 list
            #101 s0 list
        > #101 s0 g0 stable 0 vdisks disk1 1048576
            9.1 vdisks disk1 1048576
        > 9.2 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > 8.1 attach disk1
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.2 attached v7 1048576
            8.1 attached v7 1048576
        > 9.3 write 0 a*4096
            #2 s1 write 1 at 0 a*4096
        > 8.2 discard 4096+4096 fua
            #3 s1 discard 2 at 4096+4096 fua
        > 9.4 read 0+4096
            #4 s1 read 0+4096
        > 9.5 extents 0+65536
            #5 s1 extents 0+65536
        > #2 s1 g5 stable 0 done
            9.3 done
        > #4 s1 g5 stable 0 data a*4096
            9.4 data a*4096
        > #3 s1 g5 stable 2 done
            8.2 done
        > #5 s1 g5 stable 2 extents +4096 -65536
            9.5 extents +4096 -61440
        > 8.3 flush
            #6 s1 flush
        > #6 s1 g5 stable 2 done
            8.3 done
        > 1.1 status
            1.1 remembers 0 bytes; reads 1, read_bytes 4096, writes 1, write_bytes 4096, discards 1, flushes 1, sessions 1
        ",
    );
}

/// An Edge's requests are numbered from 1 in every life, but for those that no session keeps apart.
#[test]
fn late_answers_to_an_earlier_life_find_nobody() {
    check(
        config(),
        "
        > 9.1 list
            #101 s0 list
        > #1 s0 g0 stable 0 vdisks disk1 1048576
        > #101 s0 g0 stable 0 vdisks disk2 4096
            9.1 vdisks disk2 4096
        > 9.2 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s99 g5 stable 0 opened v8 4096 applied 0
        > #1 s1 g5 stable 0 opened v7 8192 applied 0
            9.2 attached v7 8192
        > 9.3 write 0 a*4096
            #2 s1 write 1 at 0 a*4096
        > #2 s99 g5 stable 1 done
        > #2 s1 g5 stable 0 done
            9.3 done
        ",
    );
}

#[test]
fn every_request_is_answered_even_a_senseless_one() {
    check(
        config(),
        "
        > 9.1 read 0+4096
            9.1 not found
        > 9.2 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 failed not-found
            9.2 not found
        > 9.3 attach disk1
            #2 s2 open disk1 after s0 first 0 g0
        > #2 s2 g5 stable 0 opened v7 8192 applied 0
            9.3 attached v7 8192
        > 9.4 read 4096+4097
            9.4 out of bounds
        > 9.5 discard 18446744073709551615+2
            9.5 out of bounds
        > 9.6 read 8192+0
            9.6 data
        > 9.7 discard 0+0
            9.7 done
        > 9.8 extents 0+0
            9.8 extents
        > 8.1 read 0+1
            8.1 error: attach to the vDisk first
        > #77 s2 g5 stable 0 done
        ",
    );
}

#[test]
fn unaligned_reads_get_their_range_out_of_whole_clusters() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 read 4000+200
            #2 s1 read 4000+200
        > 9.3 read 0+4097
            #3 s1 read 0+4097
        > #2 s1 g5 stable 0 data a*4096 b*4096
            9.2 data a*96 b*104
        > #3 s1 g5 stable 0 data a*4096 b*4096
            9.3 data a*4096 b*1
        ",
    );
}

#[test]
fn an_answer_that_does_not_match_its_checksums_is_asked_for_again() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 read 0+4096
            #2 s1 read 0+4096
        > #2 s1 g5 stable 0 damaged a*4096
            #3 s1 read 0+4096
        > #2 s1 g5 stable 0 damaged a*4096
        > #3 s1 g5 stable 0 data a*4096 a*4096
            #4 s1 read 0+4096
        > #4 s1 g5 stable 0 data a*4096
            9.2 data a*4096
        > 9.3 read 0+4096
            #5 s1 read 0+4096
        > #5 s1 g5 stable 0 damaged a*4096
            #6 s1 read 0+4096
        > #6 s1 g5 stable 0 damaged a*4096
            #7 s1 read 0+4096
        > #7 s1 g5 stable 0 damaged a*4096
            9.3 error: what was read does not match its checksums
        > 1.1 status
            1.1 remembers 0 bytes; reads 2, read_bytes 8192, failed 1, sessions 1, damaged_reads 5
        ",
    );
}

#[test]
fn what_is_not_answered_is_asked_again_ever_more_rarely() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > wait 999
        > wait 1
            #1 s1 open disk1 after s0 first 0 g0
        > wait 1999
        > wait 1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
        > 9.2 write 0 a*4096
            #2 s1 write 1 at 0 a*4096
        > 9.3 list
            #101 s0 list
        > wait 1000
            #101 s0 list
            #2 s1 write 1 at 0 a*4096
        > #2 s1 g5 stable 0 done
            9.2 done
        > #2 s1 g5 stable 0 done
        > #101 s0 g0 stable 0 vdisks disk1 1048576
            9.3 vdisks disk1 1048576
        > #101 s0 g0 stable 0 vdisks disk1 1048576
        > wait 60000
        ",
    );
}
