@0xc11003bd17319cad;
using Q = import "annotations.capnp";
using Info = import "info.capnp";
using Auth = import "auth.capnp";
using Accounts = import "accounts.capnp";
using Devices = import "devices.capnp";
using KeyPackages = import "keypackages.capnp";
using Vault = import "vault.capnp";
using Link = import "link.capnp";
using Admin = import "admin.capnp";
using Channels = import "channels.capnp";
using Delivery = import "delivery.capnp";
using Blobs = import "blobs.capnp";

interface NodeService {
  # NodeService is the contract between client and server. A method's ordinal is its number in a
  # lane's frame; numbers are never reused. Only a method table is generated from it: calls run on
  # lanes, not on Cap'n Proto's RPC.

  ping @0 Info.Ping -> Info.PingReply $Q.access(public) $Q.idempotent;
  serverInfo @1 Info.ServerInfo -> Info.ServerInfoReply $Q.access(public) $Q.idempotent;

  registerStart @2 Auth.RegisterStart -> Auth.RegisterStartReply $Q.access(public);
  registerFinish @3 Auth.RegisterFinish -> Auth.RegisterFinishReply $Q.access(public);
  loginStart @4 Auth.LoginStart -> Auth.LoginStartReply $Q.access(public);
  loginFinish @5 Auth.LoginFinish -> Auth.LoginFinishReply $Q.access(public);
  passwordStart @6 Auth.PasswordStart -> Auth.PasswordStartReply $Q.access(password);
  passwordFinish @7 Auth.PasswordFinish -> Auth.PasswordFinishReply $Q.access(password);
  authChallenge @8 Auth.AuthChallenge -> Auth.AuthChallengeReply $Q.access(public);
  authenticate @9 Auth.Authenticate -> Auth.AuthenticateReply $Q.access(public);

  accountLookup @10 Accounts.AccountLookup -> Accounts.AccountLookupReply $Q.access(either) $Q.idempotent;
  accountPublish @11 Accounts.AccountPublish -> Accounts.AccountPublishReply $Q.access(either) $Q.idempotent;
  accountDelete @12 Accounts.AccountDelete -> Accounts.AccountDeleteReply $Q.access(password);
  accountReset @13 Accounts.AccountReset -> Accounts.AccountResetReply $Q.access(public) $Q.planned;
  accountResetCancel @14 Accounts.AccountResetCancel -> Accounts.AccountResetCancelReply $Q.access(either) $Q.planned;

  devicesList @15 Devices.DevicesList -> Devices.DevicesListReply $Q.access(either) $Q.idempotent;
  deviceRename @16 Devices.DeviceRename -> Devices.DeviceRenameReply $Q.access(either) $Q.idempotent;

  keyPackagesUpload @17 KeyPackages.KeyPackagesUpload -> KeyPackages.KeyPackagesUploadReply $Q.idempotent;
  keyPackagesCount @18 KeyPackages.KeyPackagesCount -> KeyPackages.KeyPackagesCountReply $Q.idempotent;
  keyPackagesClaim @19 KeyPackages.KeyPackagesClaim -> KeyPackages.KeyPackagesClaimReply;

  vaultKeysGet @20 Vault.VaultKeysGet -> Vault.VaultKeysGetReply $Q.access(either) $Q.idempotent;
  vaultGet @21 Vault.VaultGet -> Vault.VaultGetReply $Q.access(either) $Q.idempotent;
  vaultPut @22 Vault.VaultPut -> Vault.VaultPutReply $Q.access(either) $Q.idempotent;

  linkCreate @23 Link.LinkCreate -> Link.LinkCreateReply;
  linkOffer @24 Link.LinkOffer -> Link.LinkOfferReply $Q.access(public) $Q.idempotent;
  linkTake @25 Link.LinkTake -> Link.LinkTakeReply $Q.idempotent;
  linkAnswer @26 Link.LinkAnswer -> Link.LinkAnswerReply $Q.idempotent;
  linkWait @27 Link.LinkWait -> Link.LinkWaitReply $Q.access(public) $Q.idempotent;

  tokenCreate @28 Admin.TokenCreate -> Admin.TokenCreateReply $Q.access(admin);
  tokensList @29 Admin.TokensList -> Admin.TokensListReply $Q.access(admin) $Q.idempotent;
  tokenRevoke @30 Admin.TokenRevoke -> Admin.TokenRevokeReply $Q.access(admin) $Q.idempotent;

  channelCreate @31 Channels.ChannelCreate -> Channels.ChannelCreateReply $Q.idempotent;
  channelCommit @32 Channels.ChannelCommit -> Channels.ChannelCommitReply $Q.idempotent;
  channelGroup @33 Channels.ChannelGroup -> Channels.ChannelGroupReply $Q.idempotent;
  channelInfo @34 Channels.ChannelInfo -> Channels.ChannelInfoReply $Q.idempotent;
  channelsList @35 Channels.ChannelsList -> Channels.ChannelsListReply $Q.idempotent;

  send @36 Delivery.Send -> Delivery.SendReply $Q.idempotent;
  sendEphemeral @37 Delivery.SendEphemeral -> Delivery.SendEphemeralReply;
  inboxFetch @38 Delivery.InboxFetch -> Delivery.InboxFetchReply $Q.idempotent;
  inboxAck @39 Delivery.InboxAck -> Delivery.InboxAckReply $Q.idempotent;

  blobCreate @40 Blobs.BlobCreate -> Blobs.BlobCreateReply $Q.idempotent;
  blobWrite @41 Blobs.BlobWrite -> Blobs.BlobWriteReply;
  blobRead @42 Blobs.BlobRead -> Blobs.BlobReadReply $Q.idempotent;

  channelChunks @43 Channels.ChannelChunks -> Channels.ChannelChunksReply $Q.idempotent;
  channelOffer @44 Channels.ChannelOffer -> Channels.ChannelOfferReply $Q.idempotent;
  channelLeave @45 Channels.ChannelLeave -> Channels.ChannelLeaveReply $Q.idempotent;

  blobUsage @46 Blobs.BlobUsage -> Blobs.BlobUsageReply $Q.idempotent;
  blobDrop @47 Blobs.BlobDrop -> Blobs.BlobDropReply $Q.idempotent;
}
