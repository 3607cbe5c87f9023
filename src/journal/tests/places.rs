//! Places in logs: the last of each reader, for a while.

use super::*;

fn place(host: &str, container: &str, body: Option<&[u8]>) -> LogPlace {
    let (host, container) = (HostName::parse(host).unwrap(), ContainerId(container.to_owned()));
    LogPlace { host, container, body: body.map(<[u8]>::to_vec) }
}

fn known(journal: &Journal, reader: &str, host: &str, now: Timestamp) -> Vec<(String, Vec<u8>)> {
    let mut known = journal.places(reader, &HostName::parse(host).unwrap(), now).unwrap();
    known.sort();
    known.into_iter().map(|(container, body)| (container.0, body)).collect()
}

#[test]
fn the_last_place_of_each_reader_is_kept() {
    let directory = Directory::new("places");
    let mut journal = directory.open();
    let mut keep =
        |reader, places: &[LogPlace], seconds| journal.keep_places(reader, places, at(seconds)).unwrap();
    keep(
        "heal",
        &[place("web1", "a", Some(b"1")), place("web1", "b", Some(b"2")), place("web2", "a", Some(b"3"))],
        1,
    );
    keep("heal", &[place("web1", "a", Some(b"4")), place("web1", "b", None)], 2);
    keep("watch", &[place("web1", "a", Some(b"5")), place("web1", "large", Some(&vec![0; 200_000]))], 2);
    drop(journal);
    let journal = directory.open();
    assert_eq!(known(&journal, "heal", "web1", at(3)), [("a".to_owned(), b"4".to_vec())]);
    assert_eq!(known(&journal, "heal", "web2", at(3)), [("a".to_owned(), b"3".to_vec())]);
    assert_eq!(known(&journal, "watch", "web1", at(3)), [("a".to_owned(), b"5".to_vec())]);
    assert_eq!(known(&journal, "else", "web1", at(3)), []);
}

#[test]
fn places_that_nobody_comes_to_any_more_are_forgotten() {
    let mut journal = Directory::new("old-places").open();
    journal.keep_places("heal", &[place("web1", "old", Some(b"1"))], at(1)).unwrap();
    let week = 7 * 86_400;
    assert_eq!(known(&journal, "heal", "web1", at(1 + week)).len(), 1);
    assert_eq!(known(&journal, "heal", "web1", at(2 + week)), []);
    let many: Vec<_> = (0..20_005).map(|n| place("web1", &format!("{n:05}"), Some(b"2"))).collect();
    journal.keep_places("heal", &many, at(week)).unwrap();
    assert_eq!(known(&journal, "heal", "web1", at(week)).len(), 20_000);
}
