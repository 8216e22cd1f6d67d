//! placeholder until the part is merged
use crate::execution::Execution;
pub struct Row;
impl Row {
    pub fn of(_: &Execution) -> Row {
        Row
    }
    pub fn sort_key(&self) -> Vec<u8> {
        Vec::new()
    }
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }
}
