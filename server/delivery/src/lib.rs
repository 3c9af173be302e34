//! Accepting, delivering and sending messages on: the way of a message and the outbound runner.
