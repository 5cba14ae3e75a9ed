#include "csi/controller.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "base/units.h"
#include "csi/capability.h"
#include "csi/capacity.h"
#include "csi/model_message.h"
#include "csi/status.h"
#include "csi/wire_map.h"

namespace weighhouse::csi {
namespace {

using std::chrono::milliseconds;
using Capabilities = google::protobuf::RepeatedPtrField<::csi::v1::VolumeCapability>;

/// The daemon answers within this, or is not well: then the caller comes back.
constexpr milliseconds kDaemonPatience{2'000};

grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context, const Error& error) {
  return Answer(context, ToStatus(error));
}

grpc::ServerUnaryReactor* RefuseMissing(grpc::CallbackServerContext* context,
                                        std::string_view field) {
  return Refuse(context, {Code::kInvalidArgument, fmt::format("{} is missing", field)});
}

/// How long the daemon may take, given what remains of the caller's deadline.
milliseconds Timeout(const grpc::CallbackServerContext& context) {
  auto left = context.deadline() - std::chrono::system_clock::now();
  if (left > kDaemonPatience) return kDaemonPatience;
  return std::chrono::duration_cast<milliseconds>(left);
}

/// One call on the wire, which the daemon's answer ends. Deletes itself when gRPC is done with it.
class CallReactor final : public grpc::ServerUnaryReactor {
 public:
  /// The guard is freed before the caller is answered.
  explicit CallReactor(std::optional<VolumeLocks::Guard> guard = std::nullopt)
      : guard_(std::move(guard)) {}

  grpc::ServerUnaryReactor* Begin(std::shared_ptr<DaemonCall> call) {
    call_ = std::move(call);
    call_->Start();
    return this;
  }
  void End(const Result<>& outcome) {
    guard_.reset();
    Finish(ToStatus(outcome));
  }
  void OnCancel() override { call_->Cancel(); }
  void OnDone() override { delete this; }

 private:
  std::optional<VolumeLocks::Guard> guard_;
  std::shared_ptr<DaemonCall> call_;
};

/// The same failure, temporary also where only the time ran out.
Error Translate(Error error) {
  if (error.code != Code::kDeadlineExceeded) return error;
  return {.code = Code::kAborted,
          .message = "the cache daemon has not answered yet; the same call again goes on"};
}

cache::v1::CreateVolumeRequest MakeRequest(const Claim& claim) {
  cache::v1::CreateVolumeRequest request;
  request.set_volume_id(claim.volume_id);
  request.set_request_digest(claim.request_digest);
  *request.mutable_model() = ToMessage(claim.parameters.context.model);
  request.set_required_bytes(claim.required_bytes);
  request.set_limit_bytes(claim.limit_bytes);
  request.set_cached_only(claim.parameters.cached_only);
  request.set_claim_namespace(claim.claim_namespace);
  for (const auto& [key, value] : claim.credentials.values) {
    (*request.mutable_credentials())[key] = value;
  }
  return request;
}

/// Says what was made: all that a publish needs on whichever node it happens.
Result<> Describe(const Claim& claim, const NodeTopology& node, const cache::v1::Volume& made,
                  ::csi::v1::Volume& volume) {
  const ModelReference& model = claim.parameters.context.model;
  if (!made.commit().empty() && !model.IsCommit(made.commit())) {
    return Fail(Code::kUnavailable,
                fmt::format("the cache daemon resolved {} to `{}`, which is no commit",
                            model.ToString(), Printable(made.commit(), 64)));
  }
  uint64_t bytes = std::max(made.capacity_bytes(), claim.required_bytes);
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  volume.set_capacity_bytes(static_cast<int64_t>(std::min(bytes, kMost)));
  volume.set_volume_id(claim.volume_id);
  for (const auto& [key, value] : claim.parameters.attributes) {
    (*volume.mutable_volume_context())[key] = value;
  }
  if (!made.commit().empty()) (*volume.mutable_volume_context())["commit"] = made.commit();
  if (claim.placement == Placement::kNode) *volume.add_accessible_topology() = node.ToMessage();
  return {};
}

/// Logs how a CreateVolume ended.
void Log(const Claim& claim, const Result<>& outcome, const ::csi::v1::Volume& volume) {
  std::string model = claim.parameters.context.model.ToString();
  if (outcome) {
    return LogEvent(
        LogLevel::kInfo,
        fmt::format("claim {}: volume {} of {} for {}, {}", claim.name, claim.volume_id, model,
                    claim.placement == Placement::kAny ? "any node" : "this node",
                    FormatBytes(static_cast<Bytes>(volume.capacity_bytes()))),
        {{"bytes", volume.capacity_bytes()}});
  }
  bool temporary = IsTemporary(outcome.error().code);
  LogRepeated(temporary ? LogLevel::kInfo : LogLevel::kWarning,
              fmt::format("claim {} of {}: {}: {}", claim.name, model,
                          CodeName(outcome.error().code), outcome.error().message),
              {{"code", CodeName(outcome.error().code)}});
}

/// What the volume can't be, or what it was not made of; "" if it is all that is asked.
std::string Objection(const ::csi::v1::ValidateVolumeCapabilitiesRequest& request) {
  for (const auto& capability : request.volume_capabilities()) {
    Result<> checked = CheckCapability(capability);
    if (!checked) return checked.error().message;
  }
  if (!request.mutable_parameters().empty()) {
    return "mutable_parameters: a volume can't be changed";
  }
  bool scratch = false;
  if (!request.parameters().empty()) {
    auto parameters = ClassParameters::Parse(ToMap(request.parameters()));
    if (!parameters) return parameters.error().message;
    scratch = parameters->context.scratch_size > 0;
  }
  if (!request.volume_context().empty()) {
    auto context = VolumeContext::Parse(ToMap(request.volume_context()));
    if (!context) return context.error().message;
    scratch = scratch || context->scratch_size > 0;
  }
  for (const auto& capability : request.volume_capabilities()) {
    Result<> checked = scratch ? CheckWrites(capability) : Result<>();
    if (!checked) return checked.error().message;
  }
  return "";
}

void Confirm(const ::csi::v1::ValidateVolumeCapabilitiesRequest& request,
             ::csi::v1::ValidateVolumeCapabilitiesResponse& response) {
  std::string objection = Objection(request);
  if (!objection.empty()) return response.set_message(objection);
  auto& confirmed = *response.mutable_confirmed();
  *confirmed.mutable_volume_context() = request.volume_context();
  *confirmed.mutable_volume_capabilities() = request.volume_capabilities();
  *confirmed.mutable_parameters() = request.parameters();
}

/// True unless a volume can't be what is asked for. The provisioner leaves things out here: what is
/// missing is not wrong.
bool CanServe(const Capabilities& capabilities) {
  return std::ranges::all_of(capabilities, [](::csi::v1::VolumeCapability capability) {
    using AccessMode = ::csi::v1::VolumeCapability_AccessMode;
    if (capability.access_mode().mode() == AccessMode::UNKNOWN) {
      capability.mutable_access_mode()->set_mode(AccessMode::MULTI_NODE_READER_ONLY);
    }
    if (!capability.has_block()) capability.mutable_mount();
    return CheckCapability(capability).has_value();
  });
}

/// Whether this node can give the access that the volume shall have. kResourceExhausted where it
/// never can: a claim that is bound to it would wait there for ever.
Result<> CheckAccess(const VolumeContext& context, const Protections& protections) {
  Result<> possible = context.scratch_size > 0 ? protections.CheckScratch() : Result<>();
  if (possible || possible.error().code != Code::kFailedPrecondition) return possible;
  return Fail(Code::kResourceExhausted, std::move(possible).error().message);
}

void SetCapacity(const CapacityAnswer& answer, ::csi::v1::GetCapacityResponse& response) {
  response.set_available_capacity(answer.available);
  if (answer.maximum) response.mutable_maximum_volume_size()->set_value(*answer.maximum);
}

}  // namespace

grpc::ServerUnaryReactor* ControllerService::CreateVolume(
    grpc::CallbackServerContext* context, const ::csi::v1::CreateVolumeRequest* request,
    ::csi::v1::CreateVolumeResponse* response) {
  Result<Claim> claim = Claim::Read(*request, node_);
  if (!claim) {
    LogRepeated(LogLevel::kWarning,
                fmt::format("claim {}: {}: {}", Printable(request->name(), 128),
                            CodeName(claim.error().code), claim.error().message));
    return Refuse(context, claim.error());
  }
  LogScope scope(ContextOfRequest("", {{"volume", claim->volume_id},
                                       {"claim", claim->name},
                                       {"model", claim->parameters.context.model.ToString()}}));
  Result<> possible = CheckAccess(claim->parameters.context, protections_);
  if (!possible) {
    Log(*claim, possible, {});
    return Refuse(context, possible.error());
  }
  std::optional<VolumeLocks::Guard> guard = locks_.TryLockVolume(claim->volume_id);
  if (!guard) {
    return Refuse(context, {Code::kAborted, "another call for this volume is under way"});
  }
  auto* reactor = new CallReactor(std::move(guard));
  cache::v1::CreateVolumeRequest order = MakeRequest(*claim);
  auto done = [this, reactor, response,
               claim = std::move(*claim)](const Result<cache::v1::CreateVolumeResponse>& made) {
    Result<> outcome = made ? Describe(claim, node_, made->volume(), *response->mutable_volume())
                            : std::unexpected(Translate(made.error()));
    Log(claim, outcome, response->volume());
    reactor->End(outcome);
  };
  return reactor->Begin(daemon_.CreateVolume(std::move(order), Timeout(*context), done));
}

grpc::ServerUnaryReactor* ControllerService::DeleteVolume(
    grpc::CallbackServerContext* context, const ::csi::v1::DeleteVolumeRequest* request,
    ::csi::v1::DeleteVolumeResponse* /*response*/) {
  if (request->volume_id().empty()) return RefuseMissing(context, "volume_id");
  // A volume for any node is deleted by every node's provisioner, a static one by none of ours.
  if (!IsOurVolumeId(request->volume_id())) return Answer(context);
  std::optional<VolumeLocks::Guard> guard = locks_.TryLockVolume(request->volume_id());
  if (!guard) {
    return Refuse(context, {Code::kAborted, "another call for this volume is under way"});
  }
  LogScope scope(ContextOfRequest("", {{"volume", request->volume_id()}}));
  auto* reactor = new CallReactor(std::move(guard));
  auto done = [reactor,
               id = request->volume_id()](const Result<cache::v1::DeleteVolumeResponse>& deleted) {
    if (deleted || deleted.error().code == Code::kNotFound) {
      LogEvent(LogLevel::kInfo,
               fmt::format("volume {} deleted; what is cached of its model stays", id));
      return reactor->End({});
    }
    Error error = Translate(deleted.error());
    LogRepeated(LogLevel::kInfo, fmt::format("volume {} not deleted: {}: {}", id,
                                             CodeName(error.code), error.message));
    reactor->End(std::unexpected(std::move(error)));
  };
  return reactor->Begin(daemon_.DeleteVolume(request->volume_id(), Timeout(*context), done));
}

grpc::ServerUnaryReactor* ControllerService::ValidateVolumeCapabilities(
    grpc::CallbackServerContext* context,
    const ::csi::v1::ValidateVolumeCapabilitiesRequest* request,
    ::csi::v1::ValidateVolumeCapabilitiesResponse* response) {
  if (request->volume_id().empty()) return RefuseMissing(context, "volume_id");
  if (request->volume_capabilities().empty()) return RefuseMissing(context, "volume_capabilities");
  if (!IsOurVolumeId(request->volume_id())) {
    return Refuse(context, {Code::kNotFound, fmt::format("volume {} was not made by this driver",
                                                         Printable(request->volume_id(), 128))});
  }
  LogScope scope(ContextOfRequest("", {{"volume", request->volume_id()}}));
  auto* reactor = new CallReactor();
  auto done = [reactor, request, response](const Result<cache::v1::GetVolumeResponse>& known) {
    if (!known) return reactor->End(std::unexpected(Translate(known.error())));
    Confirm(*request, *response);
    reactor->End({});
  };
  return reactor->Begin(daemon_.GetVolume(request->volume_id(), Timeout(*context), done));
}

void ControllerService::WarnOfClass(const ::csi::v1::GetCapacityRequest& request,
                                    const Error& error) {
  std::string text = error.message;
  for (const auto& [key, value] : ToMap(request.parameters())) {
    text += fmt::format("\n{}: {}", key, value);
  }
  if (!warned_classes_.Add(text)) return;
  // The scheduler keeps claims of such a class away, so nobody else will say why.
  LogRepeated(LogLevel::kWarning, fmt::format("capacity of a StorageClass: {}", error.message));
}

grpc::ServerUnaryReactor* ControllerService::GetCapacity(
    grpc::CallbackServerContext* context, const ::csi::v1::GetCapacityRequest* request,
    ::csi::v1::GetCapacityResponse* response) {
  LogScope scope(ContextOfRequest(""));
  SetCapacity({.available = 0, .maximum = 0}, *response);
  if (!node_.IsIn(request->accessible_topology()) || !CanServe(request->volume_capabilities())) {
    return Answer(context);
  }
  cache::v1::CapacityRequest order;
  bool of_model = std::ranges::any_of(
      request->parameters(), [](const auto& parameter) { return !IsForeignKey(parameter.first); });
  if (of_model) {
    Result<ClassParameters> parameters = ClassParameters::Parse(ToMap(request->parameters()));
    if (!parameters) {
      WarnOfClass(*request, parameters.error());
      return Answer(context);
    }
    Result<> possible = CheckAccess(parameters->context, protections_);
    if (!possible) {
      bool never = possible.error().code == Code::kResourceExhausted;
      return never ? Answer(context) : Refuse(context, possible.error());
    }
    *order.mutable_model() = ToMessage(parameters->context.model);
    order.set_cached_only(parameters->cached_only);
  }
  auto* reactor = new CallReactor();
  auto done = [reactor, response, of_model, cached_only = order.cached_only()](
                  const Result<cache::v1::CapacityResponse>& capacity) {
    if (!capacity) return reactor->End(std::unexpected(Translate(capacity.error())));
    response->Clear();
    SetCapacity(of_model ? CapacityForModel(*capacity, cached_only) : CapacityOfNode(*capacity),
                *response);
    reactor->End({});
  };
  return reactor->Begin(daemon_.Capacity(std::move(order), Timeout(*context), done));
}

grpc::ServerUnaryReactor* ControllerService::ControllerGetCapabilities(
    grpc::CallbackServerContext* context,
    const ::csi::v1::ControllerGetCapabilitiesRequest* /*request*/,
    ::csi::v1::ControllerGetCapabilitiesResponse* response) {
  using Rpc = ::csi::v1::ControllerServiceCapability_RPC;
  for (auto type : {Rpc::CREATE_DELETE_VOLUME, Rpc::GET_CAPACITY, Rpc::SINGLE_NODE_MULTI_WRITER}) {
    response->add_capabilities()->mutable_rpc()->set_type(type);
  }
  return Answer(context);
}

}  // namespace weighhouse::csi
