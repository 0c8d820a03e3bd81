//! toft-sandbox
