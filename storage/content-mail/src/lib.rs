//! Pure formats of mail: structure, envelope, threads, generated messages.
