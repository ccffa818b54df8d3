//! Messages in pieces, too long, too early or too late.

use nbd::{Fatal, Item, Listing, Purpose, Refusal, Session, Settings};

use crate::client::{self, Client};
use crate::driver::{Driver, Event, SMALL};
use crate::transcript::bytes;

/// A message that never becomes whole is waited for, and nothing is done or said meanwhile.
#[test]
fn half_messages() {
    let client = Client::attached("disk").write(0, 1, 0, b"payload").request(0, client::CMD_READ, 2, 0, 7);
    let whole = Driver::run(SMALL, [&client.sends[..]]);
    for cut in 0..client.sends.len() {
        let events = Driver::run(SMALL, [&client.sends[..cut]]);
        assert!(events.len() < whole.len(), "{cut} bytes cannot do all");
        assert_eq!(events, whole[..events.len()], "{cut} bytes");
    }
}

/// What is refused for its length is thrown away as it comes, never kept.
#[test]
fn skipped_bytes_are_not_held() {
    let mut driver = Driver::new(Settings::DEFAULT);
    driver.receive(&Client::attached("disk").request(0, client::CMD_WRITE, 1, 0, 64 << 20).sends);
    let before = driver.events.len();
    let piece = vec![0xff; 1 << 20];
    for _ in 0..63 {
        driver.receive(&piece);
        assert_eq!((driver.session.wants(), driver.events.len()), (1, before));
    }
    driver.receive(&piece);
    assert_eq!((driver.session.wants(), driver.events.len()), (28, before + 1));
}

/// Until a question is answered nothing is read, though there is more.
#[test]
fn questions_are_answered_first() {
    let client = Client::modern().option(client::OPT_LIST, &[]).export(client::OPT_GO, "disk", &[]);
    let mut input = client.sends.into();
    let mut session = Session::new(Settings::DEFAULT);
    assert!(matches!(session.next(&mut input), Ok(Some(Item::Send(_)))));
    assert_eq!(session.next(&mut input), Ok(Some(Item::ListExports)));
    assert_eq!((session.next(&mut input), session.wants(), input.len()), (Ok(None), 0, 26));
    let listing = Listing { name: "disk", description: "" };
    assert_eq!(session.provide_exports(Ok(&[listing])).len(), 20 + 8 + 20);
    let question = Item::FindExport { name: "disk".into(), purpose: Purpose::Attach };
    assert_eq!(session.next(&mut input), Ok(Some(question)));
    assert_eq!((session.next(&mut input), session.wants()), (Ok(None), 0));
    let refusal = session.provide_export(Err(Refusal::Unknown)).expect("GO has an error reply");
    assert_eq!(refusal, bytes("0003e889045565a9 00000007 80000006 0000000e 'no such export'"));
    assert_eq!((session.next(&mut input), session.wants()), (Ok(None), 16));
}

//= NBD#option-types
//# syntactically valid, but server-side policy forbids the server to allow the option
//= NBD#conventions
//# MUST be no longer than 4096 bytes
#[test]
fn what_is_there_but_cannot_be_served_says_why() {
    for (why, said) in [("its log is damaged".to_owned(), 18_usize), ("\u{fc}".repeat(3000), 4096)] {
        let mut input = Client::modern().export(client::OPT_GO, "disk", &[]).sends.into();
        let mut session = Session::new(Settings::DEFAULT);
        assert!(matches!(session.next(&mut input), Ok(Some(Item::Send(_)))));
        assert!(matches!(session.next(&mut input), Ok(Some(Item::FindExport { .. }))));
        let refusal = session.provide_export(Err(Refusal::Unavailable(why.clone()))).expect("GO may fail");
        assert_eq!(refusal[8..16], bytes("00000007 80000002")[..], "a reply to GO, of the kind ERR_POLICY");
        assert_eq!(refusal[20..], why.as_bytes()[..said]);
        assert_eq!((session.next(&mut input), session.wants()), (Ok(None), 16), "it may ask for another");
    }
}

//= NBD#termination-of-the-session-during-option-haggling
//# SHOULD error further options (other than an NBD_OPT_ABORT) with NBD_REP_ERR_SHUTDOWN
//= NBD#terminating-the-transmission-phase
//# any subsequently received requests SHOULD be NBD_ESHUTDOWN
#[test]
fn shutting_down() {
    let words = "S: 0003e889045565a9 00000006 80000007 0000001b 'the server is shutting down'";
    let ack = "S: 0003e889045565a9 00000002 00000001 00000000";
    let last = |driver: &Driver| driver.events.last().cloned();
    let sent = |line: &str| Some(Event::Sent(bytes(line.trim_start_matches("S: ")).into()));

    let mut driver = Driver::new(SMALL);
    driver.receive(&Client::modern().sends);
    driver.session.shut_down();
    driver.receive(&Client::default().export(client::OPT_INFO, "disk", &[1]).sends);
    assert_eq!(last(&driver), sent(words));
    let mut old = Driver::new(SMALL);
    old.receive(&Client::modern().sends);
    old.session.shut_down();
    old.receive(&Client::default().option(client::OPT_EXPORT_NAME, b"disk").sends);
    assert_eq!(last(&old), Some(Event::Ended(Fatal::ExportRefused(Refusal::Shutdown))));
    driver.receive(&Client::default().option(client::OPT_ABORT, &[]).sends);
    assert_eq!(
        driver.events[driver.events.len() - 2..],
        [sent(ack).expect("sent"), Event::Did("disconnect".into())]
    );

    let mut driver = Driver::new(SMALL);
    driver.receive(&Client::modern().option(client::OPT_EXPORT_NAME, b"disk").sends);
    driver.receive(&Client::default().request(0, client::CMD_WRITE, 1, 0, 4).raw(b"in").sends);
    driver.session.shut_down();
    driver.receive(b"it");
    assert_eq!(last(&driver), sent("67446698 00000000 0000000000000001"), "its payload was awaited");
    driver.receive(&Client::default().write(0, 2, 0, b"late").sends);
    assert_eq!(last(&driver), sent("67446698 0000006c 0000000000000002"));
    driver.receive(&Client::default().request(0, client::CMD_FLUSH, 3, 0, 0).sends);
    assert_eq!(last(&driver), sent("67446698 0000006c 0000000000000003"));
    driver.receive(&Client::default().request(0, client::CMD_DISC, 4, 0, 0).sends);
    assert_eq!(last(&driver), Some(Event::Did("disconnect".into())));
}
