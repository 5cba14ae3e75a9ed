#include "test/cache-daemon/fill/layers/layer_fixture.h"

namespace weighhouse::fill {

LayerTest::LayerTest() {
  Open();
  io_ = io::SelectIoEngine(io::IoEngineChoice::kPwrite).value();
  buffers_ = io::BufferPool::Create(3, 8192).value();
  read_buffers_ = io::BufferPool::Create(1, 8192).value();
  FillerOptions options{.max_active_files = 1, .backoff_start = std::chrono::milliseconds(1)};
  context_ = std::make_shared<FillContext>(options, Filler::Parts{.transport = transport_,
                                                                  .io = *io_.engine,
                                                                  .buffers = *buffers_,
                                                                  .read_buffers = *read_buffers_,
                                                                  .store = *store_,
                                                                  .clock = clock_,
                                                                  .metrics = {}});
  reads_ = std::make_unique<LayerReads>(
      context_, [](const FillRequest&, const std::weak_ptr<FillObserver>&) {});
  loop_ = std::jthread([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) transport_.RunUntil([&] { return stop.stop_requested(); });
  });
}

LayerTest::~LayerTest() {
  Stop();
  loop_.request_stop();
  transport_.Post([] {});
  loop_.join();
}

void LayerTest::Stop() {
  context_->stop.request_stop();
  reads_.reset();
}

std::future<Result<LayersRead>> LayerTest::Ask(std::shared_ptr<LayerSource> source, Listing listing,
                                               const std::string& account) {
  LayerRequest request{.reference = ModelReference::Parse("oci://registry.test/models/one").value(),
                       .listing = std::move(listing),
                       .credentials = {},
                       .source = std::move(source),
                       .priority = FillPriority::kWaitedFor,
                       .choose = [](const Listing& whole) -> Result<Listing> { return whole; }};
  if (!account.empty()) request.credentials.values["account"] = account;
  // Shared: a std::function copies its captures.
  auto promise = std::make_shared<std::promise<Result<LayersRead>>>();
  std::future<Result<LayersRead>> read = promise->get_future();
  reads_->Read(std::move(request), {},
               [promise](const Result<LayersRead>& outcome) { promise->set_value(outcome); });
  return read;
}

void LayerTest::OnStrand(const std::function<void()>& task) {
  std::promise<void> done;
  transport_.Post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace weighhouse::fill
