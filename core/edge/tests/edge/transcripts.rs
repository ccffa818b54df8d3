//! What an Edge does, effect by effect.

use edge::Config;
use glossary::{ByteCount, ClientId};
use step::Bug;

use crate::transcript::{DRIVER, check};

fn config() -> Config {
    Config::new(ClientId(7), DRIVER)
}

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

#[test]
fn a_restarted_volume_driver_gets_again_what_is_not_stable_before_anything_else() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 write 0 a*4096
            #2 s1 write 1 at 0 a*4096
        > 9.3 write 4096 b*4096
            #3 s1 write 2 at 4096 b*4096
        > 9.4 write 8192 c*4096
            #4 s1 write 3 at 8192 c*4096
        > 9.5 write 12288 d*4096 fua
            #5 s1 write 4 at 12288 d*4096 fua
        > #2 s1 g5 stable 1 done
            9.2 done
        > #3 s1 g5 stable 1 done
            9.3 done
        > #4 s1 g5 stable 1 done
            9.4 done
        > 9.6 flush
            #6 s1 flush
        > 9.7 read 0+4096
            #7 s1 read 0+4096
        > 9.8 read 12288+4096
            #8 s1 read 12288+4096
        > #7 s1 g0 stable 0 failed no-session
            #9 s2 open disk1 after s1 first 2 g5
        > 9.9 write 16384 e*4096
        > #5 s1 g5 stable 4 done
        > #9 s2 g6 stable 0 opened v7 1048576 applied 1
            #3 s2 write 2 at 4096 b*4096
            #4 s2 write 3 at 8192 c*4096
            #5 s2 write 4 at 12288 d*4096 fua
            #10 s2 write 5 at 16384 e*4096
        > #4 s2 g6 stable 1 done
        > #3 s2 g6 stable 1 done
            #6 s2 flush
            #7 s2 read 0+4096
        > #6 s2 g6 stable 3 done
            9.6 done
        > #5 s2 g6 stable 4 done
            9.5 done
            #8 s2 read 12288+4096
        > #8 s2 g6 stable 4 data d*4096
            9.8 data d*4096
        > #10 s2 g6 stable 4 done
            9.9 done
        > #7 s2 g6 stable 5 data a*4096
            9.7 data a*4096
        > 1.1 status
            1.1 remembers 0 bytes; reads 2, read_bytes 8192, writes 5, write_bytes 20480, flushes 1, sessions 2, resent 3, stale_answers 1
        ",
    );
}

#[test]
fn a_silent_volume_driver_is_asked_for_a_new_session() {
    let config = Config { silence: core::time::Duration::from_secs(3), ..config() };
    check(
        config,
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > wait 60000
        > 9.2 read 0+4096
            #2 s1 read 0+4096
        > wait 2900
            #2 s1 read 0+4096
        > wait 100
            #3 s2 open disk1 after s1 first 1 g5
        > #3 s2 g5 stable 0 opened v7 1048576 applied 0
            #2 s2 read 0+4096
        > wait 5900
            #2 s2 read 0+4096
            #2 s2 read 0+4096
        > wait 100
            #4 s3 open disk1 after s2 first 1 g5
        > #2 s2 g5 stable 0 data a*4096
        > #4 s3 g5 stable 0 opened v7 1048576 applied 0
            #2 s3 read 0+4096
        > #2 s3 g5 stable 0 data a*4096
            9.2 data a*4096
        ",
    );
}

#[test]
fn no_answer_of_another_generation_is_taken() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 read 0+4096
            #2 s1 read 0+4096
        > #2 s1 g4 stable 0 data a*4096
        > #2 s1 g6 stable 0 data a*4096
            #3 s2 open disk1 after s1 first 1 g6
        > #3 s2 g5 stable 0 opened v7 1048576 applied 0
        > #3 s2 g7 stable 0 opened v7 1048576 applied 0
            #2 s2 read 0+4096
        > #2 s2 g7 stable 0 data b*4096
            9.2 data b*4096
        ",
    );
}

#[test]
fn a_lost_stable_change_fails_the_vdisk_until_somebody_attaches_anew() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 write 0 a*4096
            #2 s1 write 1 at 0 a*4096
        > #2 s1 g5 stable 0 done
            9.2 done
        > 9.3 flush
            #3 s1 flush
        > #3 s1 g5 stable 0 done
            9.3 done
        > 9.4 write 0 b*4096
            #4 s1 write 2 at 0 b*4096
        > #4 s1 g5 stable 1 failed no-session
            #5 s2 open disk1 after s1 first 2 g5
        > #5 s2 g6 stable 0 opened v7 1048576 applied 0
            9.4 error: the volume driver lost changes that it had called stable; what guests wrote may be gone. Check the data, then attach anew
        > 9.5 read 0+4096
            9.5 error: the volume driver lost changes that it had called stable; what guests wrote may be gone. Check the data, then attach anew
        > 9.6 attach disk1
            #6 s3 open disk1 after s0 first 0 g0
        > #6 s3 g6 stable 0 opened v7 1048576 applied 0
            9.6 attached v7 1048576
        > 9.7 write 0 c*4096
            #7 s3 write 1 at 0 c*4096
        ",
    );
}

#[test]
fn a_superseded_session_is_over_for_good() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 write 0 a*4096
            #2 s1 write 1 at 0 a*4096
        > 9.3 flush
            #3 s1 flush
        > #2 s1 g5 stable 0 failed no-session
            #4 s2 open disk1 after s1 first 1 g5
        > #4 s2 g5 stable 0 failed not-newest 99
            9.2 error: another gateway with the same token has attached to the vDisk since
            9.3 error: another gateway with the same token has attached to the vDisk since
        > 9.4 flush
            9.4 error: another gateway with the same token has attached to the vDisk since
        ",
    );
}

#[test]
fn a_failed_change_is_answered_and_its_number_comes_all_the_same() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 write 0 a*4096
            #2 s1 write 1 at 0 a*4096
        > 9.3 write 0 b*4096
            #3 s1 write 2 at 0 b*4096
        > 9.4 write 0 c*4096
            #4 s1 write 3 at 0 c*4096
        > #2 s1 g5 stable 0 done
            9.2 done
        > #3 s1 g5 stable 0 failed no-space
            9.3 no space
            #3 s1 discard 2 at 0+0
        > #4 s1 g5 stable 0 failed no-session
            #5 s2 open disk1 after s1 first 1 g5
        > #5 s2 g6 stable 0 opened v7 1048576 applied 1
            #2 s2 write 1 at 0 a*4096
            #3 s2 discard 2 at 0+0
            #4 s2 write 3 at 0 c*4096
        > #3 s2 g6 stable 0 done
        > #2 s2 g6 stable 0 done
        > #4 s2 g6 stable 0 failed io why
            9.4 error: why
            #4 s2 discard 3 at 0+0
        > #4 s2 g6 stable 0 done
        > #2 s2 g6 stable 1 done
        > 1.1 status
            1.1 remembers 0 bytes; writes 3, write_bytes 12288, failed 2, sessions 2, resent 3
        ",
    );
}

#[test]
fn an_acknowledged_change_that_fails_when_sent_again_fails_the_vdisk() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 write 0 a*4096
            #2 s1 write 1 at 0 a*4096
        > #2 s1 g5 stable 0 done
            9.2 done
        > 9.3 flush
            #3 s1 flush
        > #3 s1 g5 stable 0 failed no-session
            #4 s2 open disk1 after s1 first 1 g5
        > #4 s2 g6 stable 0 opened v7 1048576 applied 0
            #2 s2 write 1 at 0 a*4096
        > #2 s2 g6 stable 0 failed no-space
            9.3 error: a change that was acknowledged can't be written again: NoSpace
        > 9.4 read 0+1
            9.4 error: a change that was acknowledged can't be written again: NoSpace
        ",
    );
}

#[test]
fn a_vdisk_that_cannot_be_opened_is_tried_again_by_the_next_request() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 write 0 a*4096
            #2 s1 write 1 at 0 a*4096
        > #2 s1 g5 stable 0 done
            9.2 done
        > 9.3 write 0 b*4096
            #3 s1 write 2 at 0 b*4096
        > #3 s1 g5 stable 0 failed no-session
            #4 s2 open disk1 after s1 first 1 g5
        > 9.4 attach disk1
        > #4 s2 g0 stable 0 failed io halted
            9.4 error: halted
            9.3 error: halted
        > wait 60000
        > 9.5 flush
            #6 s3 open disk1 after s1 first 1 g5
        > #6 s3 g6 stable 0 opened v7 1048576 applied 0
            #2 s3 write 1 at 0 a*4096
            #3 s3 discard 2 at 0+0
        > #5 s3 g6 stable 0 done
        > #2 s3 g6 stable 0 done
            #5 s3 flush
        > #5 s3 g6 stable 1 done
            9.5 done
        ",
    );
}

#[test]
fn a_deleted_vdisk_is_gone_and_its_namesake_is_another() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 read 0+1
            #2 s1 read 0+1
        > 9.3 attach disk1
            #3 s1 open disk1 after s1 first 1 g5
        > #3 s1 g1 stable 0 opened v8 2097152 applied 0
            9.2 not found
            #4 s2 open disk1 after s0 first 0 g0
        > #4 s2 g1 stable 0 opened v8 2097152 applied 0
            9.3 attached v8 2097152
        > 9.4 read 0+1
            9.4 not found
        ",
    );
}

#[test]
fn whoever_attaches_later_sees_the_size_of_then() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 4096 applied 0
            9.1 attached v7 4096
        > 9.2 attach disk1
            #2 s1 open disk1 after s1 first 1 g5
        > 9.3 attach disk1
        > #2 s1 g5 stable 0 opened v7 8192 applied 0
            9.2 attached v7 8192
            9.3 attached v7 8192
        > 9.4 attach disk1
            #3 s1 open disk1 after s1 first 1 g5
        > #3 s1 g6 stable 0 opened v7 8192 applied 0
            #4 s2 open disk1 after s1 first 1 g6
        > #4 s2 g6 stable 0 opened v7 8192 applied 0
            9.4 attached v7 8192
        ",
    );
}

#[test]
fn at_its_bound_the_edge_flushes_and_holds_changes_back() {
    let config = Config { remember_max: ByteCount(2 * (4096 + 256)), ..config() };
    check(
        config.clone(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 write 0 a*4096
            #2 s1 write 1 at 0 a*4096
        > 9.3 write 0 b*4096
            #3 s1 write 2 at 0 b*4096
        > 9.4 write 0 c*4096
        > 9.5 discard 0+4096
        > turn
        > #2 s1 g5 stable 0 done
            9.2 done
        > turn
            #4 s1 flush
        > turn
        > #4 s1 g5 stable 0 done
            #5 s1 write 3 at 0 c*4096
        > #3 s1 g5 stable 1 done
            9.3 done
        > turn
            #6 s1 flush
        > #6 s1 g5 stable 2 done
            #7 s1 discard 4 at 0+4096
        > #5 s1 g5 stable 4 done
            9.4 done
        > #7 s1 g5 stable 4 done
            9.5 done
        > turn
        > 1.1 status
            1.1 remembers 0 bytes; writes 3, write_bytes 12288, discards 1, own_flushes 2, held_back 2, sessions 1
        ",
    );
    check(
        config,
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 write 0 a*20000
            #2 s1 write 1 at 0 a*20000
        > 9.3 write 0 b*1
        > #2 s1 g5 stable 0 done
            9.2 done
        > turn
            #3 s1 flush
        > #3 s1 g5 stable 0 failed io broken
            9.3 error: broken
        > turn
        > 9.4 write 0 c*1
        > turn
            #4 s1 flush
        ",
    );
}

#[test]
fn planted_bugs_show() {
    check(
        Config { bug: Some(Bug::EdgeForgetsEarly), ..config() },
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 write 0 a*4096
            #2 s1 write 1 at 0 a*4096
        > #2 s1 g5 stable 0 done
            9.2 done
        > 9.3 flush
            #3 s1 flush
        > #3 s1 g5 stable 0 failed no-session
            #4 s2 open disk1 after s1 first 2 g5
        > #4 s2 g6 stable 0 opened v7 1048576 applied 1
            #3 s2 flush
        ",
    );
    check(
        Config { bug: Some(Bug::ReplyMixedUp), ..config() },
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 read 0+4096
            #2 s1 read 0+4096
        > 9.3 read 4096+4096
            #3 s1 read 4096+4096
        > #2 s1 g5 stable 0 data a*4096
            9.3 data a*4096
        > #3 s1 g5 stable 0 data b*4096
            9.2 data b*4096
        ",
    );
}
