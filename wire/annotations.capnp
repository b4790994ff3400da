@0x841e8d309ccea21b;
# What a schema says beyond Cap'n Proto's types. A receiver enforces every bound written here and
# refuses the message otherwise, so a client in another language must respect them.

using Bytes = UInt32;

enum Access {
  # What a connection must have proved before it may call a method.
  public @0;   # nothing
  password @1; # the account's password, on this connection, within the last ten minutes
  device @2;   # the device key (authenticate)
  either @3;   # password or device
  admin @4;    # the device key of an administrator
}

annotation min(field) :Bytes;      # fewest bytes of a Data or Text, or elements of a List; least value of a UInt
annotation max(field) :Bytes;      # most bytes of a Data or Text, or elements of a List; largest value of a UInt
annotation each(field) :Bytes;     # most bytes of each element of a List(Data) or List(Text)
annotation len(field) :Bytes;      # exactly so many bytes (or none where optional)
annotation exact(field) :Bytes;    # as len; a Go slice instead of a Go array
annotation optional(field) :Void;  # may be absent: null or empty
annotation user(field) :Void;      # Text, or each element: a normalised name@domain
annotation device(field) :Void;    # Data, or each element: a 16-byte device id
annotation channel(field) :Void;   # Data: a 16-byte channel id
annotation time(field) :Void;      # Int64: milliseconds since 1970-01-01 UTC; 0 is "none"
annotation secret(field) :Void;    # Text: never logged or printed
annotation reserved(field) :Void;  # a union member of the future: shown as unknown today
annotation open(enum, struct) :Void; # unknown values or union members are kept, not refused

annotation access(method) :Access;   # default: device
annotation idempotent(method) :Void; # may be repeated after a lost connection
annotation planned(method) :Void;    # the number is taken; servers answer Unsupported, and it may still change
