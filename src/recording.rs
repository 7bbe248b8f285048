//! Raw venue frames with receive times on disk: written, read again, and the foreign formats we understand.
