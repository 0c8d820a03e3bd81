//! toft-observe
