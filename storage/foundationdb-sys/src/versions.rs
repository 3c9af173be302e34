//! What the `foundationdb` crate compiles for which version of the API.

/// Keeps what holds at version 730, of code that is for versions from `min` on, or from `min` up to `max`: here no
/// range that has an end reaches 730.
#[macro_export]
macro_rules! if_cfg_api_versions {
    (min = $min:literal, max = $max:literal => { $($then:tt)* } else { $($else:tt)* }) => {{ $($else)* }};
    (min = $min:literal, max = $max:literal => $($then:tt)*) => {};
    (min = $min:literal => { $($then:tt)* } else { $($else:tt)* }) => {{ $($then)* }};
    (min = $min:literal => $($then:tt)*) => { $($then)* };
}
