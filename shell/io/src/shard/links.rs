//! Frames: every message between nodes as bytes through a socket, as it would travel between processes.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::net::UnixStream;

use formats::Message;
use formats::frame::{self, Decoder};
use glossary::NodeId;

use crate::gateway::{Connection, Received};
use crate::poller::{Poller, Readiness, Token};

/// A shard's ends of the sockets to and from every shard, itself included.
///
/// What the sockets don't take waits here; its bound is that of the mailboxes that it stands in for.
pub(crate) struct Links {
    to: Vec<Connection>,
    from: Vec<(Connection, Decoder)>,
    /// Shards to which something waits to be sent.
    unsent: BTreeSet<usize>,
}

impl Links {
    /// The links among so many shards, one value for each.
    pub(crate) fn among(shards: usize) -> io::Result<Vec<Links>> {
        let empty = || Links { to: Vec::new(), from: Vec::new(), unsent: BTreeSet::new() };
        let mut all: Vec<Links> = (0..shards).map(|_| empty()).collect();
        for sender in 0..shards {
            for receiver in 0..shards {
                let (out, into) = UnixStream::pair()?;
                all[sender].to.push(Connection::new(out)?);
                all[receiver].from.push((Connection::new(into)?, Decoder::new()));
            }
        }
        Ok(all)
    }

    /// Has the poller tell of them.
    pub(crate) fn watch(&self, poller: &Poller) -> io::Result<()> {
        for (shard, connection) in (0..).zip(&self.to) {
            poller.watch(connection, Token::FramesOut(shard))?;
        }
        for (shard, (connection, _)) in (0..).zip(&self.from) {
            poller.watch(connection, Token::FramesIn(shard))?;
        }
        Ok(())
    }

    /// Encodes a message to a node on a shard.
    pub(crate) fn send(&mut self, shard: usize, from: NodeId, to: NodeId, message: &Message) {
        let pieces = frame::encode(message, from, to);
        pieces.into_iter().for_each(|piece| self.to[shard].push(piece));
        self.unsent.insert(shard);
    }

    /// Sends what the sockets take.
    pub(crate) fn flush(&mut self) {
        let to = &mut self.to;
        // The other end breaks only when its shard has ended, which loses what is for it.
        self.unsent.retain(|shard| to[*shard].flush().is_ok_and(|is_all| !is_all));
    }

    pub(crate) fn on_ready_out(&mut self, shard: u32, readiness: Readiness) {
        self.to[shard as usize].on_ready(readiness);
    }

    /// Takes in what came from a shard, and gives the messages in it to `deliver`.
    pub(crate) fn on_ready_in(
        &mut self,
        shard: u32,
        readiness: Readiness,
        mut deliver: impl FnMut(NodeId, NodeId, Message),
    ) {
        let (connection, decoder) = &mut self.from[shard as usize];
        connection.on_ready(readiness);
        loop {
            // At an end or an error the shard that sends here has ended, and so will this one.
            let Ok(received) = connection.receive(0) else { return };
            decoder.feed(connection.take_input());
            while let Some((from, to, message)) = decoder.next().expect("frames are written by this program")
            {
                deliver(from, to, message);
            }
            match received {
                Received::Some(_) => {}
                Received::All(_) | Received::End => return,
            }
        }
    }
}

/// A message as it comes out of its own bytes: for nodes that no socket leads to.
pub(crate) fn through_bytes(from: NodeId, to: NodeId, message: &Message) -> Message {
    let mut decoder = Decoder::new();
    frame::encode(message, from, to).into_iter().for_each(|piece| decoder.feed(piece));
    let (_, _, message) =
        decoder.next().expect("frames are written by this program").expect("the frame is complete");
    message
}
