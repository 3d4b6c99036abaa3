-- Health of a wattmark.dev BenchmarkJob for Argo CD: key resource.customizations.health.wattmark.dev_BenchmarkJob.
local function health(status, message)
  return { status = status, message = message }
end

local status = obj.status
if status == nil or status.conditions == nil then
  return health("Progressing", "Waiting for the operator")
end
if status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "Waiting for the operator to see the change")
end

local said = {}
for _, condition in ipairs(status.conditions) do
  said[condition.type] = condition
end
local function holds(kind)
  return said[kind] ~= nil and said[kind].status == "True"
end

if holds("Failed") then
  return health("Degraded", said.Failed.message)
elseif holds("Complete") then
  return health("Healthy", said.Complete.message)
elseif holds("Suspended") then
  return health("Suspended", said.Suspended.message)
end
local ready = said.Ready
return health("Progressing", ready and ready.message or "Waiting for the operator")
