@0xfcd964fa5bb66adf;
using Q = import "annotations.capnp";

struct DevicesList {
  # DevicesList asks for the devices of the own account.
}

struct DeviceEntry {
  # DeviceEntry is what the server keeps on a device beside its certificate.

  device @0 :Data $Q.device;
  sealedName @1 :Data $Q.max(512);       # its name for people, under the vault key; empty if never named
  added @2 :Int64 $Q.time;
  seen @3 :Int64 $Q.time;                # when it last authenticated, to the day
}

struct DevicesListReply {
  # DevicesListReply lists the devices of the newest account state.

  devices @0 :List(DeviceEntry) $Q.max(16);
  stateVersion @1 :UInt64;
}

struct DeviceRename {
  # DeviceRename names a device of the own account.

  device @0 :Data $Q.device;
  sealedName @1 :Data $Q.max(512);
}

struct DeviceRenameReply {
  # DeviceRenameReply confirms the new name.
}
