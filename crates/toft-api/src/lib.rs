//! toft-api
