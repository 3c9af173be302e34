//! Filter and sort of messages, the SearchIndex trait and its scan.
