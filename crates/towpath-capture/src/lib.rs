//! The capture gateway: protocol decoders, identity, service profiles.
