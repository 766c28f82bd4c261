"""Sign-in at an OpenID Connect provider. Nothing in here is imported unless FL_OIDC_ISSUER is set."""
