//! workflow_task
