@0xaa2101da50c07cfa;
using Q = import "annotations.capnp";
using import "vault.capnp".VaultKeys;

struct RegisterStart {
  # RegisterStart begins a registration. The password itself never leaves the client.

  user @0 :Text $Q.user;
  token @1 :Text $Q.max(128) $Q.secret;  # empty where registration is open
  request @2 :Data $Q.exact(32);         # OPAQUE RegistrationRequest
}

struct RegisterStartReply {
  # RegisterStartReply carries the server's half of the OPAQUE registration.

  response @0 :Data $Q.exact(64);        # OPAQUE RegistrationResponse
}

struct RegisterFinish {
  # RegisterFinish makes the account: all of it in one transaction, or nothing.

  user @0 :Text $Q.user;
  token @1 :Text $Q.max(128) $Q.secret;  # spent by success alone
  record @2 :Data $Q.exact(192);         # OPAQUE RegistrationRecord
  state @3 :Data $Q.min(1) $Q.max(65536); # account state 1, with the certificate of this device
  keys @4 :VaultKeys;                    # version 1
}

struct RegisterFinishReply {
  # RegisterFinishReply confirms that the account is durable.

  admin @0 :Bool;                        # the first registrant is the administrator
}

struct LoginStart {
  # LoginStart begins a proof of the password. Unknown users get an answer of the same form.

  user @0 :Text $Q.user;
  ke1 @1 :Data $Q.exact(96);             # OPAQUE KE1
}

struct LoginStartReply {
  # LoginStartReply carries the server's OPAQUE message.

  ke2 @0 :Data $Q.exact(320);            # OPAQUE KE2
}

struct LoginFinish {
  # LoginFinish completes the proof of the latest LoginStart of this connection.

  ke3 @0 :Data $Q.exact(64);             # OPAQUE KE3
}

struct LoginFinishReply {
  # LoginFinishReply grants the password right to this connection.

  until @0 :Int64 $Q.time;               # when the right lapses
}

struct PasswordStart {
  # PasswordStart begins the change of a password; the old one was proved on this connection.

  request @0 :Data $Q.exact(32);         # OPAQUE RegistrationRequest of the new password
}

struct PasswordStartReply {
  # PasswordStartReply carries the server's half of the new OPAQUE registration.

  response @0 :Data $Q.exact(64);        # OPAQUE RegistrationResponse
}

struct PasswordFinish {
  # PasswordFinish replaces the OPAQUE record and all wraps of the vault in one transaction.

  record @0 :Data $Q.exact(192);         # OPAQUE RegistrationRecord
  keys @1 :VaultKeys;                    # version: that at the server plus one, else vault-conflict
}

struct PasswordFinishReply {
  # PasswordFinishReply confirms that the new password is the only one. The right of the
  # connection ends with it, and so do those of all others.
}

struct AuthChallenge {
  # AuthChallenge asks for a nonce to sign. The latest one of a connection counts, once.
}

struct AuthChallengeReply {
  # AuthChallengeReply carries the nonce.

  nonce @0 :Data $Q.len(32);
}

struct Authenticate {
  # Authenticate proves possession of a device key of an account's newest state.

  user @0 :Text $Q.user;
  device @1 :Data $Q.device;
  counter @2 :UInt64 $Q.min(1);          # the session counter, advanced and saved before this call
  signature @3 :Data $Q.len(64);         # over the session statement (docs/protocol.md)
}

struct AuthenticateReply {
  # AuthenticateReply opens the session.

  counter @0 :UInt64;                    # the server's session counter from now on
  stale @1 :Bool;                        # the counter sent was not above the server's: this state is old
  stateVersion @2 :UInt64;               # newest version of the own account state
  keysVersion @3 :UInt64;                # version of the vault's keys
  admin @4 :Bool;
}
