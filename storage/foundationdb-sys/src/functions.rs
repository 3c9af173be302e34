//! The functions of the C API, each of which goes to the library once that is loaded.
//!
//! Without it a function that returns an error returns [`NOT_LOADED`], one that returns a pointer returns null, and
//! the others do nothing. None of them has anything to work on then: all objects come from the library.

use crate::library::{Library, LoadError};
use crate::options::*;
use crate::types::*;
use std::ffi::{c_char, c_double, c_int, c_void};
use std::sync::OnceLock;

/// What a function returns that needs the library when there is none: the library's own number for a network that was
/// not set up.
pub const NOT_LOADED: fdb_error_t = 2008;

static LOADED: OnceLock<Functions> = OnceLock::new();

/// Declares a function: its field in the table of loaded ones, and the one that is called. A macro, because each has a
/// signature of its own.
macro_rules! functions {
    ($(fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $result:ty)? = $unloaded:expr;)*) => {
        pub(crate) struct Functions {
            $($name: unsafe extern "C" fn($($kind),*) $(-> $result)?,)*
        }

        impl Functions {
            /// Finds all of them.
            ///
            /// # Safety
            ///
            /// The library is FoundationDB's.
            pub(crate) unsafe fn find(library: &Library) -> Result<Self, LoadError> {
                Ok(Functions {
                    // SAFETY: the library is FoundationDB's, whose functions of these names have these signatures.
                    $($name: unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($kind),*) $(-> $result)?>(
                        library.symbol(stringify!($name))?,
                    ) },)*
                })
            }
        }

        $(
            #[doc = concat!("`", stringify!($name), "` of the C API.")]
            ///
            /// # Safety
            ///
            /// As the C API says: pointers are from the library and still valid.
            #[allow(clippy::too_many_arguments)]
            pub unsafe fn $name($($arg: $kind),*) $(-> $result)? {
                match LOADED.get() {
                    // SAFETY: the caller's promise.
                    Some(loaded) => unsafe { (loaded.$name)($($arg),*) },
                    None => $unloaded,
                }
            }
        )*
    };
}

type Future = *mut FDBFuture;
type Transaction = *mut FDBTransaction;
type Text = *const u8;

const NULL: Future = std::ptr::null_mut();

functions! {
    fn fdb_get_error(code: fdb_error_t) -> *const c_char = c"the client library is not loaded".as_ptr();
    fn fdb_error_predicate(predicate_test: c_int, code: fdb_error_t) -> fdb_bool_t = 0;
    fn fdb_get_max_api_version() -> c_int = 0;
    fn fdb_get_client_version() -> *const c_char = c"".as_ptr();
    fn fdb_select_api_version_impl(runtime_version: c_int, header_version: c_int) -> fdb_error_t = NOT_LOADED;
    fn fdb_network_set_option(option: FDBNetworkOption, value: Text, value_length: c_int) -> fdb_error_t = NOT_LOADED;
    fn fdb_setup_network() -> fdb_error_t = NOT_LOADED;
    fn fdb_run_network() -> fdb_error_t = NOT_LOADED;
    fn fdb_stop_network() -> fdb_error_t = NOT_LOADED;

    fn fdb_future_destroy(f: Future) = ();
    fn fdb_future_is_ready(f: Future) -> fdb_bool_t = 0;
    fn fdb_future_set_callback(f: Future, callback: FDBCallback, callback_parameter: *mut c_void) -> fdb_error_t = NOT_LOADED;
    fn fdb_future_get_error(f: Future) -> fdb_error_t = NOT_LOADED;
    fn fdb_future_get_int64(f: Future, out: *mut i64) -> fdb_error_t = NOT_LOADED;
    fn fdb_future_get_key(f: Future, out_key: *mut Text, out_key_length: *mut c_int) -> fdb_error_t = NOT_LOADED;
    fn fdb_future_get_value(f: Future, out_present: *mut fdb_bool_t, out_value: *mut Text, out_value_length: *mut c_int) -> fdb_error_t = NOT_LOADED;
    fn fdb_future_get_keyvalue_array(f: Future, out_kv: *mut *const FDBKeyValue, out_count: *mut c_int, out_more: *mut fdb_bool_t) -> fdb_error_t = NOT_LOADED;
    fn fdb_future_get_mappedkeyvalue_array(f: Future, out_kv: *mut *const FDBMappedKeyValue, out_count: *mut c_int, out_more: *mut fdb_bool_t) -> fdb_error_t = NOT_LOADED;
    fn fdb_future_get_key_array(f: Future, out_key_array: *mut *const FDBKey, out_count: *mut c_int) -> fdb_error_t = NOT_LOADED;
    fn fdb_future_get_string_array(f: Future, out_strings: *mut *mut *const c_char, out_count: *mut c_int) -> fdb_error_t = NOT_LOADED;

    fn fdb_create_database(cluster_file_path: *const c_char, out_database: *mut *mut FDBDatabase) -> fdb_error_t = NOT_LOADED;
    fn fdb_database_destroy(d: *mut FDBDatabase) = ();
    fn fdb_database_set_option(d: *mut FDBDatabase, option: FDBDatabaseOption, value: Text, value_length: c_int) -> fdb_error_t = NOT_LOADED;
    fn fdb_database_create_transaction(d: *mut FDBDatabase, out_transaction: *mut Transaction) -> fdb_error_t = NOT_LOADED;
    fn fdb_database_get_main_thread_busyness(db: *mut FDBDatabase) -> c_double = 0.0;
    fn fdb_database_get_client_status(db: *mut FDBDatabase) -> Future = NULL;

    fn fdb_transaction_destroy(tr: Transaction) = ();
    fn fdb_transaction_cancel(tr: Transaction) = ();
    fn fdb_transaction_reset(tr: Transaction) = ();
    fn fdb_transaction_set_option(tr: Transaction, option: FDBTransactionOption, value: Text, value_length: c_int) -> fdb_error_t = NOT_LOADED;
    fn fdb_transaction_set_read_version(tr: Transaction, version: i64) = ();
    fn fdb_transaction_get_read_version(tr: Transaction) -> Future = NULL;
    fn fdb_transaction_get(tr: Transaction, key_name: Text, key_name_length: c_int, snapshot: fdb_bool_t) -> Future = NULL;
    fn fdb_transaction_get_key(tr: Transaction, key_name: Text, key_name_length: c_int, or_equal: fdb_bool_t, offset: c_int, snapshot: fdb_bool_t) -> Future = NULL;
    fn fdb_transaction_get_addresses_for_key(tr: Transaction, key_name: Text, key_name_length: c_int) -> Future = NULL;
    fn fdb_transaction_get_range(
        tr: Transaction,
        begin_key_name: Text, begin_key_name_length: c_int, begin_or_equal: fdb_bool_t, begin_offset: c_int,
        end_key_name: Text, end_key_name_length: c_int, end_or_equal: fdb_bool_t, end_offset: c_int,
        limit: c_int, target_bytes: c_int, mode: FDBStreamingMode, iteration: c_int,
        snapshot: fdb_bool_t, reverse: fdb_bool_t,
    ) -> Future = NULL;
    fn fdb_transaction_get_mapped_range(
        tr: Transaction,
        begin_key_name: Text, begin_key_name_length: c_int, begin_or_equal: fdb_bool_t, begin_offset: c_int,
        end_key_name: Text, end_key_name_length: c_int, end_or_equal: fdb_bool_t, end_offset: c_int,
        mapper_name: Text, mapper_name_length: c_int,
        limit: c_int, target_bytes: c_int, mode: FDBStreamingMode, iteration: c_int,
        snapshot: fdb_bool_t, reverse: fdb_bool_t,
    ) -> Future = NULL;
    fn fdb_transaction_set(tr: Transaction, key_name: Text, key_name_length: c_int, value: Text, value_length: c_int) = ();
    fn fdb_transaction_atomic_op(tr: Transaction, key_name: Text, key_name_length: c_int, param: Text, param_length: c_int, operation_type: FDBMutationType) = ();
    fn fdb_transaction_clear(tr: Transaction, key_name: Text, key_name_length: c_int) = ();
    fn fdb_transaction_clear_range(tr: Transaction, begin_key_name: Text, begin_key_name_length: c_int, end_key_name: Text, end_key_name_length: c_int) = ();
    fn fdb_transaction_watch(tr: Transaction, key_name: Text, key_name_length: c_int) -> Future = NULL;
    fn fdb_transaction_commit(tr: Transaction) -> Future = NULL;
    fn fdb_transaction_get_committed_version(tr: Transaction, out_version: *mut i64) -> fdb_error_t = NOT_LOADED;
    fn fdb_transaction_get_approximate_size(tr: Transaction) -> Future = NULL;
    fn fdb_transaction_get_versionstamp(tr: Transaction) -> Future = NULL;
    fn fdb_transaction_on_error(tr: Transaction, error: fdb_error_t) -> Future = NULL;
    fn fdb_transaction_add_conflict_range(tr: Transaction, begin_key_name: Text, begin_key_name_length: c_int, end_key_name: Text, end_key_name_length: c_int, kind: FDBConflictRangeType) -> fdb_error_t = NOT_LOADED;
    fn fdb_transaction_get_estimated_range_size_bytes(tr: Transaction, begin_key_name: Text, begin_key_name_length: c_int, end_key_name: Text, end_key_name_length: c_int) -> Future = NULL;
    fn fdb_transaction_get_range_split_points(tr: Transaction, begin_key_name: Text, begin_key_name_length: c_int, end_key_name: Text, end_key_name_length: c_int, chunk_size: i64) -> Future = NULL;
}

/// From now on calls go to these. Says no if others were installed before.
pub(crate) fn install(functions: Functions) -> bool {
    LOADED.set(functions).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each test is a process of its own under nextest; none here loads the library.
    #[test]
    fn without_the_library_nothing_is_done() {
        let null = std::ptr::null_mut();
        // SAFETY: nothing is loaded, so that no pointer is looked at.
        unsafe {
            assert_eq!(fdb_setup_network(), NOT_LOADED);
            assert_eq!(fdb_create_database(std::ptr::null(), std::ptr::null_mut()), NOT_LOADED);
            assert!(fdb_transaction_commit(null).is_null());
            assert_eq!(fdb_get_max_api_version(), 0);
            fdb_transaction_destroy(null);
            let text = std::ffi::CStr::from_ptr(fdb_get_error(NOT_LOADED));
            assert_eq!(text.to_str(), Ok("the client library is not loaded"));
        }
    }
}
