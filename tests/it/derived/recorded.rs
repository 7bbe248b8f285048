//! Derived against recorded.
#![allow(unused_imports)]
use super::*;
