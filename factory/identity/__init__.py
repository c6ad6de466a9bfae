"""Who somebody is and what they may do: tokens, users, roles, policies, audit."""
