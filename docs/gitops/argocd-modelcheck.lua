-- Health of a wattmark.dev ModelCheck for Argo CD: key resource.customizations.health.wattmark.dev_ModelCheck.
-- Ready says whether the answer meets spec.require; with the default, require: None, any answer does.
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for the operator" }
end
for _, condition in ipairs(status.conditions) do
  if condition.type == "Stalled" and condition.status == "True" then
    return { status = "Degraded", message = condition.message }
  end
end
for _, condition in ipairs(status.conditions) do
  if condition.type == "Ready" and condition.status == "True" then
    return { status = "Healthy", message = condition.message }
  end
end
return { status = "Progressing", message = "Being evaluated" }
