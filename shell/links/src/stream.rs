//! Bytes of a connection: as they are on a unix socket, or within TLS.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ::io::{Connection, Readiness, Received};
use bytes::Bytes;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use crate::pipe::PipeError;

/// A connection, and TLS in it where it leaves the machine.
pub(crate) struct Stream {
    connection: Connection,
    tls: Option<Box<rustls::Connection>>,
}

impl Stream {
    /// Within this machine.
    pub(crate) fn plain(connection: Connection) -> Self {
        Stream { connection, tls: None }
    }

    /// One that was accepted from another machine.
    pub(crate) fn accepted(connection: Connection, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut tls = rustls::Connection::from(ServerConnection::new(config)?);
        // Its owner bounds what is unsent.
        tls.set_buffer_limit(None);
        Ok(Stream { connection, tls: Some(Box::new(tls)) })
    }

    /// One that is begun to another machine.
    pub(crate) fn dialled(
        address: SocketAddr,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, PipeError> {
        let mut tls = rustls::Connection::from(ClientConnection::new(config, name)?);
        tls.set_buffer_limit(None);
        Ok(Stream { connection: Connection::dial(address)?, tls: Some(Box::new(tls)) })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn on_ready(&mut self, readiness: Readiness) {
        self.connection.on_ready(readiness);
    }

    /// What the peer showed in the handshake, once that is over; empty without TLS.
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        let certificates = self.tls.as_ref().and_then(|tls| tls.peer_certificates());
        certificates
            .map(|chain| chain.iter().map(|one| one.clone().into_owned()).collect())
            .unwrap_or_default()
    }

    /// Receives once what is there, and gives what it means.
    pub(crate) fn receive(&mut self) -> Result<(Received, Bytes), PipeError> {
        let mut received = self.connection.receive(0)?;
        let bytes = self.connection.take_input();
        let Some(tls) = &mut self.tls else { return Ok((received, bytes)) };
        let opened = open(tls, &bytes);
        // The handshake's answers; and why it failed, if it did.
        let sent = seal(tls, &mut self.connection);
        let (plain, closed) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // The peer hears why as far as its socket takes that at once.
                let _ = self.connection.flush();
                return Err(error);
            }
        };
        sent?;
        if closed {
            received = Received::End;
        }
        Ok((received, plain.into()))
    }

    /// Queues bytes.
    pub(crate) fn push(&mut self, piece: Bytes) -> Result<(), PipeError> {
        match &mut self.tls {
            None => self.connection.push(piece),
            Some(tls) => {
                tls.writer().write_all(&piece)?;
                seal(tls, &mut self.connection)?;
            }
        }
        Ok(())
    }

    /// Bytes that are not sent.
    pub(crate) fn unsent(&self) -> usize {
        self.connection.unsent()
    }

    /// Sends what the socket takes; whether that was all.
    pub(crate) fn flush(&mut self) -> Result<bool, PipeError> {
        if let Some(tls) = &mut self.tls {
            // A client's first words.
            seal(tls, &mut self.connection)?;
        }
        Ok(self.connection.flush()?)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// Takes records in: what they hold, and whether the peer has said that it is done.
fn open(tls: &mut rustls::Connection, mut bytes: &[u8]) -> Result<(Vec<u8>, bool), PipeError> {
    let (mut plain, mut closed) = (Vec::with_capacity(bytes.len()), false);
    while !bytes.is_empty() && !closed {
        tls.read_tls(&mut bytes)?;
        let state = tls.process_new_packets()?;
        let count = state.plaintext_bytes_to_read();
        let from = plain.len();
        plain.resize(from + count, 0);
        tls.reader().read_exact(&mut plain[from..])?;
        closed = state.peer_has_closed();
    }
    Ok((plain, closed))
}

/// Queues the records that are to go out.
fn seal(tls: &mut rustls::Connection, connection: &mut Connection) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut Head(connection))?;
    }
    Ok(())
}

/// A connection's output, as TLS wants to write it.
struct Head<'a>(&'a mut Connection);

impl Write for Head<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.head().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
