//! Changes that fail, get lost or are too many to be remembered.

use edge::Config;
use glossary::ByteCount;
use step::Bug;

use crate::transcript::{check, config};

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
fn an_acknowledged_change_that_fails_when_sent_again_is_kept_and_sent_once_more() {
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
            9.3 no space
        > 9.4 flush
            #6 s3 open disk1 after s2 first 1 g6
        > #6 s3 g6 stable 0 failed io why
            9.4 error: why
        > 9.5 flush
            #8 s4 open disk1 after s2 first 1 g6
        > #8 s4 g7 stable 0 opened v7 1048576 applied 0
            #2 s4 write 1 at 0 a*4096
        > #2 s4 g7 stable 0 done
            #7 s4 flush
        > #7 s4 g7 stable 1 done
            9.5 done
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
