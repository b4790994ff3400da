@0xb3eb1d8dd78f0b66;
using Q = import "annotations.capnp";

struct DeviceWrap {
  # DeviceWrap is the vault key sealed to one device.

  device @0 :Data $Q.device;
  wrap @1 :Data $Q.exact(1168);          # HPKE: enc 1120, ciphertext 48
}

struct VaultKeys {
  # VaultKeys are the ways to open a vault. They are replaced as a whole, by compare-and-swap.

  version @0 :UInt64 $Q.min(1);          # one above the version they replace
  accountKey @1 :Data $Q.exact(73) $Q.optional;     # the account key under the password alone
  passwordWrap @2 :Data $Q.exact(1168) $Q.optional; # the vault key under the password
  recovery @3 :Bool;                     # a recovery code is mixed into the password's key
  devices @4 :List(DeviceWrap) $Q.max(16);
}

struct VaultKeysGet {
  # VaultKeysGet asks for the keys of the own vault.
}

struct VaultKeysGetReply {
  # VaultKeysGetReply carries them: accountKey and passwordWrap only to a connection with the
  # password right, wraps of devices as asked for by none but their own account.

  keys @0 :VaultKeys;
}

struct VaultItem {
  # VaultItem is a sealed item with its own version.

  name @0 :Text $Q.min(1) $Q.max(64);    # lower-case letters, digits and hyphens: "access-keys"
  version @1 :UInt64 $Q.min(1);          # bound into the seal
  sealed @2 :Data $Q.max(1048576);
}

struct VaultGet {
  # VaultGet asks for items of the own vault.

  names @0 :List(Text) $Q.max(256) $Q.each(64);  # empty asks for all, without their contents
}

struct VaultGetReply {
  # VaultGetReply carries the items that exist.

  items @0 :List(VaultItem) $Q.max(256);
  keysVersion @1 :UInt64;
}

struct VaultPut {
  # VaultPut writes one item: its version must be that at the server plus one.

  item @0 :VaultItem;
  keysVersion @1 :UInt64;                # of the keys it is sealed under; else vault-conflict
}

struct VaultPutReply {
  # VaultPutReply confirms that the item is durable.
}
