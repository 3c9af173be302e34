//! The types of the C API at version 730, by the names that its header has.

use std::ffi::{c_int, c_uchar, c_void};

/// The version of the API that is declared here.
pub const FDB_API_VERSION: u32 = 730;

/// An error; 0 is success.
pub type fdb_error_t = c_int;
/// A truth value.
pub type fdb_bool_t = c_int;

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Debug)]
        pub struct $name {
            _private: [u8; 0],
        }
    )*};
}

opaque! {
    /// A result that is on its way.
    FDB_future,
    /// A cluster.
    FDB_database,
    /// A part of a cluster.
    FDB_tenant,
    /// A transaction.
    FDB_transaction,
}

/// A result that is on its way.
pub type FDBFuture = FDB_future;
/// A cluster.
pub type FDBDatabase = FDB_database;
/// A part of a cluster.
pub type FDBTenant = FDB_tenant;
/// A transaction.
pub type FDBTransaction = FDB_transaction;

/// Called when a future is ready.
pub type FDBCallback = Option<unsafe extern "C" fn(future: *mut FDBFuture, parameter: *mut c_void)>;

/// A key.
#[repr(C, packed(4))]
#[derive(Debug, Copy, Clone)]
pub struct FDBKey {
    /// First byte.
    pub key: *const u8,
    /// Bytes.
    pub key_length: c_int,
}

/// A row.
#[repr(C, packed(4))]
#[derive(Debug, Copy, Clone)]
pub struct FDBKeyValue {
    /// First byte of the key.
    pub key: *const u8,
    /// Bytes of the key.
    pub key_length: c_int,
    /// First byte of the value.
    pub value: *const u8,
    /// Bytes of the value.
    pub value_length: c_int,
}

/// A place among the keys.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct FDBKeySelector {
    /// The key it starts from.
    pub key: FDBKey,
    /// Whether that key itself counts.
    pub orEqual: fdb_bool_t,
    /// How many keys further.
    pub offset: c_int,
}

/// A range and its rows, inside of a mapped range.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct FDBGetRangeReqAndResult {
    /// Where it begins.
    pub begin: FDBKeySelector,
    /// Where it ends.
    pub end: FDBKeySelector,
    /// The rows.
    pub data: *mut FDBKeyValue,
    /// Rows there are.
    pub m_size: c_int,
    /// Rows there is room for.
    pub m_capacity: c_int,
}

/// A row of a mapped range.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct FDBMappedKeyValue {
    /// Its key.
    pub key: FDBKey,
    /// Its value.
    pub value: FDBKey,
    /// What it maps to.
    pub getRange: FDBGetRangeReqAndResult,
    /// The library's own.
    pub buffer: [c_uchar; 32],
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::size_of;

    /// The header packs keys and rows to four bytes.
    #[test]
    fn sizes_are_those_of_the_library() {
        assert_eq!(size_of::<FDBKey>(), 12);
        assert_eq!(size_of::<FDBKeyValue>(), 24);
        assert_eq!(size_of::<FDBKeySelector>(), 20);
        assert_eq!(size_of::<FDBMappedKeyValue>(), 112);
    }
}
