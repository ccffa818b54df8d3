//! Which code takes each hop on. A function that moved or went is found by the test.

use simulator::cluster::Part;

/// File and function.
type Place = (&'static str, &'static str);

/// Section, part, what arrives, what it means, who takes it on.
type Row = (&'static str, Part, &'static str, &'static str, &'static [Place]);

const EDGE: Part = Part::Edge;
const VOLUME: Part = Part::VolumeDriver;

const ANY: &str = "";

const ROWS: &[Row] = &[
    (
        ANY,
        EDGE,
        "Guest Write",
        "gets its number, and is remembered until it is stable",
        &[("core/edge/src/disk/mod.rs", "change")],
    ),
    (
        ANY,
        VOLUME,
        "Edge Write",
        "takes its place in the log and in the map",
        &[
            ("core/volume/src/serving/sessions.rs", "change"),
            ("core/volume/src/serving/queue.rs", "log_write"),
        ],
    ),
    (
        ANY,
        VOLUME,
        "write data of SCO",
        "the data is in the SCO",
        &[("core/volume/src/serving/log.rs", "flight_sco_written")],
    ),
    (
        ANY,
        VOLUME,
        "write batch of TLog",
        "and so is its entry in the TLog: both, so it is acknowledged",
        &[
            ("core/volume/src/serving/log.rs", "flight_tlog_written"),
            ("core/volume/src/serving/log.rs", "acknowledge"),
        ],
    ),
    (ANY, EDGE, "EdgeReply Done", "is done", &[("core/edge/src/disk/answers.rs", "on_reply")]),
    (
        ANY,
        EDGE,
        "Guest Flush",
        "asks for what was acknowledged to be stable",
        &[("core/edge/src/disk/mod.rs", "flush")],
    ),
    (
        ANY,
        VOLUME,
        "Edge Flush",
        "a round of syncs begins, or is joined",
        &[("core/volume/src/serving/flush.rs", "flush")],
    ),
    (
        "flush",
        VOLUME,
        "sync SCO",
        "the data is stable",
        &[("core/volume/src/serving/flush.rs", "sync_ended")],
    ),
    (
        "flush",
        VOLUME,
        "sync TLog",
        "the entry is stable: the flush is answered",
        &[
            ("core/volume/src/serving/flush.rs", "sync_ended"),
            ("core/volume/src/serving/flush.rs", "clients_stable"),
        ],
    ),
    (
        ANY,
        VOLUME,
        "write mark of TLog",
        "says up to where it was synced: damage below is no torn tail",
        &[("core/volume/src/serving/log.rs", "write_mark")],
    ),
    (
        ANY,
        VOLUME,
        "Admin SyncVdisk",
        "the TLog and the open SCO are closed, to be pushed",
        &[("core/volume/src/admin.rs", "sync"), ("core/volume/src/serving/roll.rs", "roll")],
    ),
    (ANY, VOLUME, "create TLog", "the next TLog", &[("core/volume/src/serving/roll.rs", "tlog_created")]),
    (
        ANY,
        VOLUME,
        "write header of TLog",
        "names its predecessor",
        &[("core/volume/src/serving/roll.rs", "tlog_header_written")],
    ),
    (
        "sync",
        VOLUME,
        "sync TLog",
        "from here on writes go there",
        &[("core/volume/src/serving/roll.rs", "tlog_header_synced")],
    ),
    (
        ANY,
        VOLUME,
        "write trailer of SCO",
        "the SCO lists its clusters",
        &[("core/volume/src/serving/roll.rs", "write_trailer")],
    ),
    (
        ANY,
        VOLUME,
        "read SCO",
        "comes back for its upload",
        &[("core/volume/src/serving/publish.rs", "read_for_upload")],
    ),
    (
        ANY,
        VOLUME,
        "work check",
        "every cluster is checked, off the event loop, and the SCO goes to the ASDs",
        &[("core/volume/src/serving/publish.rs", "checked_for_upload")],
    ),
    (
        ANY,
        Part::Objects,
        "Object Put",
        "becomes a chunk of k data fragments",
        &[("core/objects/src/requests.rs", "on_request"), ("core/objects/src/put.rs", "start")],
    ),
    (
        ANY,
        Part::Objects,
        "work encode",
        "checked, and m parity fragments computed, off the event loop",
        &[("core/objects/src/perform.rs", "run"), ("core/objects/src/chunk.rs", "on_encoded")],
    ),
    (
        ANY,
        Part::Asd,
        "Asd Apply",
        "a fragment joins the next group commit",
        &[("core/asd/src/serve.rs", "on_request"), ("core/asd/src/commit.rs", "commit")],
    ),
    (
        ANY,
        Part::Asd,
        "write batch of segment",
        "the fragment is in the log",
        &[("core/asd/src/commit.rs", "on_log")],
    ),
    (
        ANY,
        Part::Asd,
        "sync segment",
        "the fragment is stable and can be found",
        &[("core/asd/src/commit.rs", "on_log"), ("core/asd/src/commit.rs", "committed")],
    ),
    (
        ANY,
        Part::Objects,
        "AsdReply Applied",
        "counts; with c of them the manifest is written",
        &[("core/objects/src/answers.rs", "on_asd_reply"), ("core/objects/src/put.rs", "on_fragment")],
    ),
    (
        ANY,
        Part::Kv,
        "KvOf Command",
        "is checked and joins the next entry of the log of the namespaces' group",
        &[("core/kv/src/requests.rs", "on_request"), ("core/kv/src/replicate.rs", "propose")],
    ),
    (
        ANY,
        Part::Kv,
        "Kv Command",
        "is checked and joins the next entry of the root group's log",
        &[("core/kv/src/requests.rs", "on_request"), ("core/kv/src/replicate.rs", "propose")],
    ),
    (
        ANY,
        Part::Kv,
        "write batch of log through",
        "the command is in the log, and stable; it is applied, a manifest by the namespace manager",
        &[
            ("core/kv/src/serving.rs", "on_log"),
            ("core/kv/src/serving.rs", "on_durable"),
            ("core/kv/src/replicate.rs", "on_committed"),
            ("core/namespaces/src/sequence.rs", "run"),
        ],
    ),
    (
        ANY,
        Part::Objects,
        "KvReply Done",
        "the object is there",
        &[("core/objects/src/answers.rs", "on_kv_reply"), ("core/objects/src/put.rs", "on_sequence")],
    ),
    (
        ANY,
        VOLUME,
        "ObjectReply Stored",
        "a SCO: its TLog may be published; a TLog: it is",
        &[
            ("core/volume/src/serving/publish.rs", "uploaded"),
            ("core/volume/src/serving/publish.rs", "published"),
        ],
    ),
    (
        ANY,
        VOLUME,
        "delete TLog",
        "nothing needs the old TLog any more",
        &[("core/volume/src/serving/garbage.rs", "delete_file")],
    ),
    (
        ANY,
        VOLUME,
        "write batch of map",
        "what was published, for a quick start",
        &[("core/volume/src/serving/map_file.rs", "map_file_ended")],
    ),
    (ANY, VOLUME, "sync map", "stable", &[("core/volume/src/serving/map_file.rs", "map_file_ended")]),
    (
        ANY,
        VOLUME,
        "KvReply Done",
        "the registry knows that the write buffer holds nothing alone",
        &[("core/volume/src/serving/publish.rs", "record_changed")],
    ),
];

/// What a hop means and who takes it on; none where the table doesn't know it.
pub(crate) fn find(section: &str, part: Part, what: &str) -> Option<(&'static str, &'static [Place])> {
    let row = ROWS.iter().find(|row| (row.0 == ANY || row.0 == section) && row.1 == part && row.2 == what);
    row.map(|row| (row.3, row.4))
}

/// Every place of the table.
pub(crate) fn all() -> impl Iterator<Item = Place> {
    ROWS.iter().flat_map(|row| row.4.iter().copied())
}
