//! Models of common things.

mod append_list;
mod register;

pub use append_list::{AppendList, ListAction, ListAnswer, ListOperation};
pub use register::{Register, RegisterAction, RegisterAnswer, RegisterOperation};
