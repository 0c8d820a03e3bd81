//! toft-router
