//! toft-keeper
