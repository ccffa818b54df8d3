//! Sessions with the volume driver: how they end, and what the next one begins with.

use edge::Config;

use crate::transcript::{check, config};

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
fn what_holds_data_is_not_asked_where_a_change_that_may_have_been_seen_is_owed() {
    check(
        config(),
        "
        > 9.1 attach disk1
            #1 s1 open disk1 after s0 first 0 g0
        > #1 s1 g5 stable 0 opened v7 1048576 applied 0
            9.1 attached v7 1048576
        > 9.2 write 4096 a*4096
            #2 s1 write 1 at 4096 a*4096
        > 9.3 extents 0+8192
            #3 s1 extents 0+8192
        > 9.4 extents 8192+4096
            #4 s1 extents 8192+4096
        > #3 s1 g0 stable 0 failed no-session
            #5 s2 open disk1 after s1 first 1 g5
        > #5 s2 g6 stable 0 opened v7 1048576 applied 0
            #2 s2 write 1 at 4096 a*4096
            #4 s2 extents 8192+4096
        > #2 s2 g6 stable 0 done
            9.2 done
            #3 s2 extents 0+8192
        > #4 s2 g6 stable 0 extents -4096
            9.4 extents -4096
        > #3 s2 g6 stable 0 extents -4096 +4096
            9.3 extents -4096 +4096
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
