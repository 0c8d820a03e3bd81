//! toft-appfile
