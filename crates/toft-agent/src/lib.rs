//! toft-agent
