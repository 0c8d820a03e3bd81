//! toft-code
