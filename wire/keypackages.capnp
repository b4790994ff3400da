@0xd68925b728ca9122;
using Q = import "annotations.capnp";

struct KeyPackage {
  # KeyPackage is an MLS key package as a device uploads it. The server knows it by its SHA-256.

  suite @0 :UInt16;                      # MLS cipher suite
  data @1 :Data $Q.min(1) $Q.max(16384); # the KeyPackage of RFC 9420, section 10
  lastResort @2 :Bool;                   # may be given out more than once when no other is left
  expires @3 :Int64 $Q.time;             # not given out afterwards
}

struct KeyPackagesUpload {
  # KeyPackagesUpload adds key packages of the calling device; repeating it changes nothing.

  packages @0 :List(KeyPackage) $Q.max(200);
  replace @1 :Bool;                      # drop all earlier ones first: their private keys are gone
}

struct KeyPackageCount {
  # KeyPackageCount says how many key packages are left for a suite.

  suite @0 :UInt16;
  oneTime @1 :UInt32;
  lastResort @2 :Bool;
}

struct KeyPackagesUploadReply {
  # KeyPackagesUploadReply says what is there now.

  counts @0 :List(KeyPackageCount) $Q.max(64);
}

struct KeyPackagesCount {
  # KeyPackagesCount asks how many key packages of the calling device are left.
}

struct KeyPackagesCountReply {
  # KeyPackagesCountReply answers by suite.

  counts @0 :List(KeyPackageCount) $Q.max(64);
}

struct KeyPackagesClaim {
  # KeyPackagesClaim takes one key package of each device of a user.

  user @0 :Text $Q.user;
  suites @1 :List(UInt16) $Q.min(1) $Q.max(32);   # acceptable, best first
  devices @2 :List(Data) $Q.max(16) $Q.device;    # only these; empty means all
  after @3 :UInt64;                               # account states above this version are wanted too
}

struct ClaimedKeyPackage {
  # ClaimedKeyPackage is one device's key package.

  device @0 :Data $Q.device;
  suite @1 :UInt16;
  data @2 :Data $Q.min(1) $Q.max(16384);
  lastResort @3 :Bool;
}

struct KeyPackagesClaimReply {
  # KeyPackagesClaimReply carries at most one key package per device, and the account states that
  # prove the devices. A device without one is absent.

  packages @0 :List(ClaimedKeyPackage) $Q.max(16);
  states @1 :List(Data) $Q.max(64) $Q.each(65536);
  newest @2 :UInt64;                     # newest version of the account state
  proof @3 :Data $Q.max(65536);          # reserved for the transparency proof
}
