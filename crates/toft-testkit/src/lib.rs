//! toft-testkit
