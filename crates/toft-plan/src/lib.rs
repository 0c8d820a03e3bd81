//! toft-plan
