//! The cases, one file per client.

mod away;
mod buffered;
mod cut;
mod disks;
mod fio;
mod full;
mod group;
mod halted;
mod huge;
mod kv;
mod libnbd;
mod lost;
mod nbdcopy;
mod nbdinfo;
mod power;
mod qemu_img;
mod qemu_io;
mod record;
mod refusals;
mod replaced;
mod servers;
mod stalled;
mod start_stop;
mod upgrade;
mod verbs;

use anyhow::{Context, Result, bail};

use crate::bed::{Against, Bed};

/// One thing that a real client does.
pub(crate) struct Case {
    /// Name of the case and of its function.
    pub(crate) name: &'static str,
    /// The function; all its checks are errors.
    pub(crate) run: fn(&Bed) -> Result<()>,
    /// After so long it is ended, with everything that it started.
    pub(crate) limit_seconds: u64,
    /// Which servers can pass it.
    fits: Fits,
    /// In which passes it runs.
    passes: Passes,
}

/// Which servers can pass a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fits {
    /// Any server whose disk outlives it.
    Any,
    /// Ours, of one process or of three servers: it asks for what only ours promises.
    Ours,
    /// `ovs up` alone: it uses that command line, or makes clusters of its own.
    OneProcess,
}

impl Fits {
    fn fits(self, against: Against) -> bool {
        match against {
            Against::Ovs => true,
            Against::ThreeServers => self != Fits::OneProcess,
            Against::Nbdkit | Against::QemuNbd => self == Fits::Any,
        }
    }
}

/// In which passes a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passes {
    /// The ordinary one alone.
    Plain,
    /// Also in the one in which every message between roles is encoded through a socket.
    Both,
}

/// A case by its function, so that the name cannot differ.
macro_rules! case {
    ($room:ident :: $name:ident, $limit_seconds:expr, $fits:ident, $passes:ident) => {
        Case {
            name: stringify!($name),
            run: $room::$name,
            limit_seconds: $limit_seconds,
            fits: Fits::$fits,
            passes: Passes::$passes,
        }
    };
}

const CASES: &[Case] = &[
    case!(start_stop::stop_keeps_everything, 120, Ours, Both),
    case!(start_stop::stop_is_clean_under_load, 120, Ours, Plain),
    case!(start_stop::second_start_is_refused, 120, OneProcess, Plain),
    case!(start_stop::contradictions_are_refused, 120, OneProcess, Plain),
    case!(refusals::impossible_first_starts_leave_nothing, 120, OneProcess, Plain),
    case!(refusals::foreign_directories_stay, 120, OneProcess, Plain),
    case!(refusals::wrong_folders_are_refused, 120, OneProcess, Plain),
    case!(refusals::both_values_are_named, 120, OneProcess, Plain),
    case!(refusals::verbs_end_with_their_codes, 120, OneProcess, Plain),
    case!(lost::lost_write_buffer_needs_a_word, 120, OneProcess, Plain),
    case!(lost::lost_ranges_are_named, 120, Ours, Plain),
    case!(full::full_disk_loses_nothing, 240, OneProcess, Plain),
    case!(full::a_full_disk_is_shown_and_the_rest_serves, 240, OneProcess, Plain),
    case!(buffered::status_tells_what_is_not_safe_yet, 120, Ours, Both),
    case!(stalled::sigstop_makes_clients_wait, 120, Ours, Both),
    case!(stalled::stalled_backend_bounds_memory, 240, Ours, Plain),
    case!(stalled::idle_takes_no_cpu, 120, Ours, Both),
    case!(halted::damaged_log_halts_its_vdisk_alone, 120, OneProcess, Plain),
    case!(group::three_servers_keep_one_kv, 240, OneProcess, Plain),
    case!(upgrade::three_servers_are_upgraded_one_by_one, 240, OneProcess, Plain),
    case!(servers::one_server_has_every_role, 240, OneProcess, Plain),
    case!(servers::guests_go_on_while_servers_of_the_kv_die, 400, OneProcess, Plain),
    case!(replaced::guests_go_on_while_all_servers_of_the_kv_are_replaced, 600, OneProcess, Plain),
    case!(servers::disks_of_other_servers_hold_what_guests_write, 400, OneProcess, Plain),
    case!(servers::a_new_kv_is_not_begun_over_disks_with_data, 240, OneProcess, Plain),
    case!(kv::kv_verbs_do_what_they_say, 120, OneProcess, Plain),
    case!(verbs::verbs_speak_json, 120, Ours, Plain),
    case!(verbs::metrics_are_documented, 120, Ours, Plain),
    case!(verbs::vdisk_grows_and_goes, 120, Ours, Plain),
    case!(verbs::osd_stops_and_starts, 240, Ours, Both),
    case!(away::a_deleted_vdisk_leaves_nothing_on_a_disk_that_was_away, 240, Ours, Both),
    case!(verbs::overload_stays_bounded, 400, Ours, Plain),
    case!(nbdinfo::nbdinfo_lists_the_export, 120, Ours, Plain),
    case!(nbdinfo::nbdinfo_knows_every_ability, 120, Ours, Plain),
    case!(nbdinfo::nbdinfo_maps_what_was_written, 120, Any, Plain),
    case!(nbdcopy::nbdcopy_in_and_out, 240, Any, Both),
    case!(qemu_img::qemu_img_converts_and_compares, 240, Any, Both),
    case!(qemu_img::qemu_img_maps_what_was_written, 120, Any, Plain),
    case!(qemu_img::qemu_img_benches, 240, Any, Plain),
    case!(qemu_io::qemu_io_patterns, 120, Any, Both),
    case!(qemu_io::qemu_io_unaligned, 120, Any, Plain),
    case!(libnbd::libnbd_fua, 120, Any, Plain),
    case!(libnbd::libnbd_trim, 120, Any, Plain),
    case!(libnbd::libnbd_write_zeroes, 120, Any, Plain),
    case!(libnbd::libnbd_block_status, 120, Any, Plain),
    case!(libnbd::libnbd_structured_replies, 120, Any, Plain),
    case!(libnbd::libnbd_large_requests, 240, Any, Both),
    case!(libnbd::libnbd_many_connections, 240, Any, Both),
    case!(libnbd::libnbd_multi_conn, 120, Any, Plain),
    case!(libnbd::libnbd_edges, 120, Any, Plain),
    case!(libnbd::libnbd_options, 120, Ours, Plain),
    case!(fio::fio_verifies_mixed_sizes, 300, Any, Both),
    case!(fio::fio_verifies_while_the_vdisk_grows, 300, Ours, Both),
    case!(fio::fio_verifies_while_disks_stop_and_start, 400, Ours, Both),
    case!(fio::fio_verifies_after_kill, 600, Any, Plain),
    case!(cut::cut_keeps_what_was_acknowledged, 600, Any, Plain),
    case!(cut::cut_with_frames_keeps_what_was_acknowledged, 300, Any, Both),
    case!(disks::ext4_survives_two_lost_disks, 400, Ours, Both),
    case!(disks::too_many_lost_disks_say_so, 240, Ours, Plain),
    case!(disks::too_many_damaged_disks_say_so, 240, Ours, Plain),
    case!(disks::a_vdisk_without_its_logs_says_so, 120, Ours, Plain),
    case!(power::power_cut_keeps_what_was_flushed, 900, OneProcess, Plain),
    case!(power::power_cut_without_syncs_is_noticed, 900, OneProcess, Plain),
    case!(record::recordings_replay, 240, OneProcess, Both),
    case!(huge::sixty_four_tebibytes, 240, Ours, Plain),
];

/// The case of that name.
pub(crate) fn named(name: &str) -> Result<&'static Case> {
    CASES.iter().find(|case| case.name == name).with_context(|| format!("there is no case `{name}`"))
}

/// The cases that these arguments choose.
pub(crate) fn chosen(only: &[String], frames: bool, against: Against) -> Result<Vec<&'static Case>> {
    for name in only {
        named(name)?;
    }
    let is_wanted = |case: &&Case| only.is_empty() || only.iter().any(|name| name == case.name);
    let fits = |case: &&Case| case.fits.fits(against);
    let chosen: Vec<&Case> = CASES
        .iter()
        .filter(is_wanted)
        .filter(fits)
        .filter(|case| !frames || case.passes == Passes::Both)
        .collect();
    if chosen.is_empty() {
        bail!("no case fits these arguments");
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_choose() {
        let all = chosen(&[], false, Against::Ovs).unwrap();
        let mut names: Vec<&str> = all.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
        assert_eq!(chosen(&["libnbd_fua".to_owned()], false, Against::Ovs).unwrap().len(), 1);
        assert!(chosen(&["nothing".to_owned()], false, Against::Ovs).is_err());
        assert!(chosen(&[], true, Against::Ovs).unwrap().len() < CASES.len());
    }

    #[test]
    fn references_get_what_they_can_pass() {
        let theirs = chosen(&[], false, Against::Nbdkit).unwrap();
        assert!(theirs.iter().all(|case| case.fits == Fits::Any) && !theirs.is_empty());
        assert!(chosen(&["sixty_four_tebibytes".to_owned()], false, Against::Nbdkit).is_err());
        let of_three = chosen(&[], false, Against::ThreeServers).unwrap();
        assert!(of_three.len() > theirs.len() && of_three.len() < CASES.len());
    }
}
