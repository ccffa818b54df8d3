//! A hash over what happened: two runs of a seed that differ anywhere differ in their digest.

use formats::work::{Done, Work};
use formats::{Effect, Event, Message, Payload};
use postcard::ser_flavors::Flavor;
use step::{DiskOperation, DiskOutcome, DiskResult, TableChange};

/// A running hash of 64 bits. It tells runs apart; it keeps nobody out.
#[derive(Clone, Debug, Default)]
pub struct Digest(u64);

impl Digest {
    /// Takes in a number.
    pub fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = (mixed ^ (mixed >> 29)).wrapping_add(0x632b_e59b_d9b4_e019);
    }

    /// Takes in bytes, by length and CRC.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word((bytes.len() as u64) << 32 | u64::from(checksum::crc32c(bytes)));
    }

    /// The hash of everything taken in.
    pub fn value(&self) -> u64 {
        self.0
    }

    /// Takes in an event.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Start { seed } => {
                self.word(1);
                self.bytes(seed);
            }
            Event::Message { from, message } => {
                self.word(2 | u64::from(from.0) << 8);
                self.message(message);
            }
            Event::Disk { operation, result } => {
                self.word(3 | operation.0 << 8);
                self.disk_result(result);
            }
            Event::Worked { job, result } => {
                self.word(4 | job.0 << 8);
                self.done(result);
            }
            Event::Timer(timer) => self.word(5 | timer.0 << 8),
            Event::TurnEnd => self.word(6),
        }
    }

    /// Takes in an effect.
    pub fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Send { to, message } => {
                self.word(17 | u64::from(to.0) << 8);
                self.message(message);
            }
            Effect::Disk { operation, what } => {
                self.word(18 | operation.0 << 8);
                self.disk_operation(what);
            }
            Effect::Work { job, work } => {
                self.word(19 | job.0 << 8);
                self.work(work);
            }
            Effect::SetTimer { timer, after } => {
                self.word(20 | timer.0 << 8);
                self.word(after.as_nanos() as u64);
            }
            Effect::ClearTimer(timer) => self.word(21 | timer.0 << 8),
            Effect::Halt { reason } => {
                self.word(22);
                self.bytes(reason.as_bytes());
            }
        }
    }

    fn message(&mut self, message: &Message) {
        postcard::serialize_with_flavor(message, Hashed(self)).expect("messages encode");
        if let Some(payload) = message.payload() {
            self.payload(payload);
        }
    }

    fn payload(&mut self, payload: &Payload) {
        self.word(payload.len() as u64);
        // The checksums stand for the bytes; a hop that changes bytes under them is found by the checkers.
        for &crc in payload.crcs() {
            self.word(u64::from(crc));
        }
    }

    fn disk_operation(&mut self, what: &DiskOperation) {
        match what {
            DiskOperation::List => self.word(1),
            DiskOperation::Create { file } => self.named(2, file.as_str()),
            DiskOperation::Delete { file } => self.named(3, file.as_str()),
            DiskOperation::Read { file, offset, length } => {
                self.named(4, file.as_str());
                self.word(*offset);
                self.word(*length);
            }
            DiskOperation::Write { file, offset, pieces } => {
                self.named(5, file.as_str());
                self.word(*offset);
                pieces.iter().for_each(|piece| self.bytes(piece));
            }
            DiskOperation::WriteThrough { file, offset, pieces } => {
                self.named(10, file.as_str());
                self.word(*offset);
                pieces.iter().for_each(|piece| self.bytes(piece));
            }
            DiskOperation::Sync { file } => self.named(6, file.as_str()),
            DiskOperation::Space => self.word(7),
            DiskOperation::Commit { table, changes } => {
                self.named(8, table.as_str());
                changes.iter().for_each(|change| self.table_change(change));
            }
            DiskOperation::ReadOn { table, after, bytes_max } => {
                self.named(9, table.as_str());
                after.iter().for_each(|after| self.bytes(after));
                self.word(*bytes_max);
            }
        }
    }

    fn table_change(&mut self, change: &TableChange) {
        match change {
            TableChange::Set { key, value } => {
                self.word(1);
                self.bytes(key);
                self.bytes(value);
            }
            TableChange::Delete { key } => {
                self.word(2);
                self.bytes(key);
            }
            TableChange::DeletePrefix { prefix } => {
                self.word(3);
                self.bytes(prefix);
            }
        }
    }

    fn named(&mut self, tag: u64, name: &str) {
        self.word(tag);
        self.bytes(name.as_bytes());
    }

    fn disk_result(&mut self, result: &DiskResult) {
        match result {
            Ok(DiskOutcome::Done) => self.word(1),
            Ok(DiskOutcome::Read(bytes)) => self.bytes(bytes),
            Ok(DiskOutcome::Listed(files)) => {
                for (file, length) in files {
                    self.named(*length, file.as_str());
                }
            }
            Ok(DiskOutcome::Space { free, total }) => {
                self.word(*free);
                self.word(*total);
            }
            Ok(DiskOutcome::Pairs { pairs, is_all }) => {
                for (key, value) in pairs {
                    self.bytes(key);
                    self.bytes(value);
                }
                self.word(u64::from(*is_all));
            }
            Err(error) => self.word(16 + *error as u64),
        }
    }

    fn work(&mut self, work: &Work) {
        match work {
            Work::Encode(encode) => {
                self.word(1);
                self.bytes(&encode.object.0);
                self.payload(&encode.data);
            }
            Work::Reconstruct(reconstruct) => {
                self.word(2);
                self.bytes(&reconstruct.wanted);
                for (index, bytes) in &reconstruct.present {
                    self.word(u64::from(*index));
                    self.bytes(bytes);
                }
            }
            Work::Check(data) => {
                self.word(3);
                self.payload(data);
            }
        }
    }

    fn done(&mut self, done: &Done) {
        match done {
            Done::Encoded(containers) => {
                containers
                    .iter()
                    .flat_map(|container| container.pieces())
                    .for_each(|piece| self.bytes(piece));
            }
            Done::Reconstructed(blocks) => blocks.iter().for_each(|block| self.bytes(block)),
            Done::Damaged => self.word(3),
            Done::Impossible => self.word(4),
            Done::Checked => self.word(5),
        }
    }
}

/// Encodes a message straight into the hash.
struct Hashed<'a>(&'a mut Digest);

impl Flavor for Hashed<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.word(u64::from(byte));
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.bytes(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
