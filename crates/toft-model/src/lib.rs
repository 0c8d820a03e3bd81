//! The nouns of Toft as plain data.
//!
//! What is wanted, what was seen, and the messages that the processes of one machine send each
//! other. This crate does no IO and reads no clock; everything here can be compared, printed and
//! carried over a socket.

pub mod app;
pub mod code;
pub mod event;
pub mod frame;
pub mod id;
pub mod instance;
pub mod machine;
pub mod message;
pub mod sandbox;
pub mod table;
pub mod unit;

pub use code::Code;
pub use id::{AppName, Generation, InstanceId, Label, ProcessName};
