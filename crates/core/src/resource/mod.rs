//! The resources that people write, as text and as checked values.
