//! Ids, every key and every versioned record: the map of the database.
