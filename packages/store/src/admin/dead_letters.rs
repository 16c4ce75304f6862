//! The dead-letter queue, by the operator's door.

use seatpilot_domain_model::TenantId;

use super::{Admin, AdminError};
use crate::{
    audit::Origin,
    dead_letters::{By, DeadLetterDesk, DeadLetterRow, LetterFilter},
};

impl Admin {
    /// A tenant's letters, to be worked on by this operator.
    pub fn dead_letter_desk(&mut self, tenant: &TenantId) -> DeadLetterDesk<'_> {
        DeadLetterDesk::new(By::Operator(self), tenant.clone(), Origin::default(), None)
    }

    /// The newest dead letters of a tenant, without their payloads.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn dead_letters(
        &mut self,
        tenant: &TenantId,
        limit: u32,
    ) -> Result<Vec<DeadLetterRow>, AdminError> {
        Ok(self.dead_letter_desk(tenant).list(&LetterFilter::default(), None, limit).await?)
    }
}
