//! The app file as plain data: the whole grammar, decoded and defaulted.
