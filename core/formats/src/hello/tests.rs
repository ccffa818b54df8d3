use super::*;
use proptest::prelude::*;

const CLUSTER: ClusterIdentity = ClusterIdentity([7; 16]);

fn server() -> Hello {
    Hello::new(Some(CLUSTER), Some(ServerId(3)), Offers::KV)
}

fn client() -> Hello {
    Hello::new(None, None, Offers::default())
}

fn checked(mut body: Vec<u8>) -> Vec<u8> {
    let check = crc32c(&body);
    body.extend_from_slice(&check.to_le_bytes());
    body
}

#[test]
fn golden_bytes_of_version_1() {
    let mut expected = b"OVSHELLO\x2c\x00\x01\x00\x01\x00\x00\x00".to_vec();
    expected.extend_from_slice(&[7; 16]);
    expected.extend_from_slice(&[3, 0, 0, 0, 1, 0, 0, 0]);
    expected.extend_from_slice(&[0xa0, 0x92, 0x40, 0x2c]);
    assert_eq!(server().encode(), expected);
    assert_eq!(Hello::decode(&expected), Ok(Some((server(), 44))));
    let mut expected = b"OVSHELLO\x2c\x00\x01\x00\x01\x00\x00\x00".to_vec();
    expected.extend_from_slice(&[0; 16]);
    expected.extend_from_slice(&[0xff, 0xff, 3, 0, 0, 0, 0, 0]);
    let refused = Hello { refusal: Some(Refusal::Full), ..client() };
    assert_eq!(refused.encode(), checked(expected));
}

#[test]
fn it_is_read_from_a_stream_that_was_cut_anywhere() {
    let mut stream = server().encode();
    let length = stream.len();
    stream.extend_from_slice(b"OVSF and so on");
    for cut in 0..stream.len() {
        let expected = (cut >= length).then_some((server(), length));
        assert_eq!(Hello::decode(&stream[..cut]), Ok(expected), "{cut}");
    }
}

#[test]
fn others_are_known_by_their_first_bytes_and_damage_by_the_check() {
    assert_eq!(Hello::decode(b"GET / HTTP/1.1"), Err(HelloError::Foreign));
    assert_eq!(Hello::decode(b"OVSX"), Err(HelloError::Foreign));
    let good = server().encode();
    for index in 10..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 0x10;
        assert_eq!(Hello::decode(&bad), Err(HelloError::Damaged), "byte {index}");
    }
    for length in [0, 43, 1025, u16::MAX] {
        let mut bad = good.clone();
        bad[8..10].copy_from_slice(&length.to_le_bytes());
        assert_eq!(Hello::decode(&bad), Err(HelloError::Length(length)));
    }
}

#[test]
fn what_contradicts_itself_is_refused_though_its_check_holds() {
    let body = server().encode()[..FIXED_BYTES].to_vec();
    for (at, value) in [(10, 0_u16), (10, 2), (32, 0x8000), (32, 0xfffe)] {
        let mut bad = body.clone();
        bad[at..at + 2].copy_from_slice(&value.to_le_bytes());
        assert_eq!(Hello::decode(&checked(bad)), Err(HelloError::Damaged), "{value:#x} at {at}");
    }
}

#[test]
fn what_later_programs_add_is_passed_over() {
    let mut body = server().encode()[..FIXED_BYTES].to_vec();
    body.extend_from_slice(b"more");
    body[8] += 4;
    body[12] = 9;
    body[34] = 99;
    let newer =
        Hello { versions: Versions { oldest: 1, newest: 9 }, refusal: Some(Refusal::Other(99)), ..server() };
    assert_eq!(Hello::decode(&checked(body)), Ok(Some((newer, 48))));
}

#[test]
fn the_highest_common_version_is_spoken_and_both_sides_judge_alike() {
    let speaks = |oldest, newest| Hello { versions: Versions { oldest, newest }, ..server() };
    for (left, right, common) in
        [((1, 3), (2, 5), Some(3)), ((1, 1), (1, 1), Some(1)), ((1, 2), (3, 4), None)]
    {
        let (left, right) = (speaks(left.0, left.1), speaks(right.0, right.1));
        assert_eq!(left.agree(&right).ok(), common);
        assert_eq!(right.agree(&left).ok(), common);
    }
    let refused = speaks(1, 2).agree(&speaks(3, 4)).unwrap_err();
    assert_eq!(refused.refusal(), Some(Refusal::Version));
    assert!(alloc::format!("{refused}").contains("versions 3 to 4 and this program 1 to 2"), "{refused}");
}

#[test]
fn another_cluster_and_a_refusal_are_heard() {
    let other = Hello { cluster: Some(ClusterIdentity([8; 16])), ..server() };
    assert_eq!(server().agree(&other).unwrap_err().refusal(), Some(Refusal::Cluster));
    assert_eq!(client().agree(&other), Ok(1), "a client of whichever");
    let full = Hello { refusal: Some(Refusal::Full), ..server() };
    assert_eq!(client().agree(&full), Err(HelloError::Refused(Refusal::Full)));
}

fn any_hello() -> impl Strategy<Value = Hello> {
    let versions = (1..=u16::MAX, any::<u16>());
    let versions =
        versions.prop_map(|(oldest, more)| Versions { oldest, newest: oldest.saturating_add(more) });
    let cluster = proptest::option::of(any::<[u8; 16]>().prop_filter("a cluster", |it| *it != [0; 16]));
    let server = proptest::option::of(0..=ServerId::MAX.0);
    (versions, cluster, server, any::<u16>(), any::<u32>()).prop_map(
        |(versions, cluster, server, refusal, offers)| Hello {
            versions,
            cluster: cluster.map(ClusterIdentity),
            server: server.map(ServerId),
            refusal: Refusal::of(refusal),
            offers: Offers(offers),
        },
    )
}

proptest! {
    #[test]
    fn any_hello_comes_back(hello in any_hello()) {
        let bytes = hello.encode();
        prop_assert_eq!(Hello::decode(&bytes), Ok(Some((hello, bytes.len()))));
    }

    #[test]
    fn any_bytes_behind_the_magic_are_judged_without_waiting_for_ever(
        bytes in proptest::collection::vec(any::<u8>(), 0..2 * MAX_BYTES),
        is_checked: bool,
    ) {
        let mut bytes = [&MAGIC[..], &bytes].concat();
        if is_checked && bytes.len() >= FIXED_BYTES && bytes.len() + CHECK_BYTES <= MAX_BYTES {
            let length = (bytes.len() + CHECK_BYTES) as u16;
            bytes[8..10].copy_from_slice(&length.to_le_bytes());
            bytes = checked(bytes);
        }
        match Hello::decode(&bytes) {
            Ok(Some((hello, taken))) => {
                prop_assert!(taken <= bytes.len());
                prop_assert!(hello.versions.oldest <= hello.versions.newest);
            }
            Ok(None) => prop_assert!(bytes.len() < MAX_BYTES),
            Err(_) => {}
        }
    }
}
