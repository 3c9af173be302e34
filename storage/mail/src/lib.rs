//! The mail model: mailboxes and messages, one verb, one file.
