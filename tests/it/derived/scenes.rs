//! Single scenes: what happens at the edges.
#![allow(unused_imports)]
use super::*;
