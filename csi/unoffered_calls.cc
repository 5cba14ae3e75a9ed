#include "csi/unoffered_calls.h"

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace weighhouse::csi {
namespace {

namespace grpcx = grpc::experimental;

/// Of one call; owned by gRPC, as `call` is.
class Namer final : public grpcx::Interceptor {
 public:
  explicit Namer(const grpcx::ServerRpcInfo& call) : call_(call) {}

  void Intercept(grpcx::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(grpcx::InterceptionHookPoints::PRE_SEND_STATUS)) {
      grpc::Status status = batch->GetSendStatus();
      bool nameless =
          status.error_code() == grpc::StatusCode::UNIMPLEMENTED && status.error_message().empty();
      if (nameless) batch->ModifySendStatus({grpc::StatusCode::UNIMPLEMENTED, Message()});
    }
    batch->Proceed();
  }

 private:
  std::string Message() const {
    std::string_view path = call_.method();  // /csi.v1.Controller/ListVolumes
    return fmt::format("{} is not offered by this driver", path.substr(path.rfind('/') + 1));
  }

  const grpcx::ServerRpcInfo& call_;
};

class NamerFactory final : public grpcx::ServerInterceptorFactoryInterface {
 public:
  grpcx::Interceptor* CreateServerInterceptor(grpcx::ServerRpcInfo* call) override {
    return new Namer(*call);
  }
};

}  // namespace

std::unique_ptr<grpcx::ServerInterceptorFactoryInterface> NameUnofferedCalls() {
  return std::make_unique<NamerFactory>();
}

}  // namespace weighhouse::csi
